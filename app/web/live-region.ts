/** A region of a page as it was made, and what tells whether it has changed by more than the passing of time. */
export interface LiveRegion {
  html: string
  /** All of it but its figures, without what changes as time passes. */
  frame: string
  /** Its figures: elements whose id begins with `live-`, by that id. They change often, and are sent alone. */
  figures: ReadonlyMap<string, { html: string; essence: string }>
}

/** Of a region a figure is an element that has no other of its kind in it: `<dd id="live-memory">…</dd>`. */
export const readRegion = (html: string): LiveRegion => {
  const figures = new Map<string, { html: string; essence: string }>()
  const frame = html.replace(figure, (text, _kind, id: string) => {
    figures.set(id, { html: text, essence: withoutTimes(text) })
    return `[${id}]`
  })
  return { html, frame: withoutTimes(frame), figures }
}

/** What has to be sent so that a page which shows `before` shows `after`: nothing, some figures, or the whole region. */
export const changesOf = (id: string, before: LiveRegion | undefined, after: LiveRegion): { id: string; html: string }[] => {
  if (before?.frame !== after.frame) return [{ id, html: after.html }]
  return [...after.figures].flatMap(([figureId, { html, essence }]) =>
    before.figures.get(figureId)?.essence === essence ? [] : [{ id: figureId, html }],
  )
}

const figure = /<(dd|div) id="(live-[a-z-]+)"[^>]*>[\s\S]*?<\/\1>/g

const withoutTimes = (html: string) => html.replace(/(<time[^>]*>)[^<]*/g, '$1')
