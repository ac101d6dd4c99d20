/** What a browser would send of the forms in this HTML when nothing in them is touched, but for the token. */
export const fieldsIn = (html: string): Record<string, string> => {
  const fields: Record<string, string> = {}
  for (const [tag] of html.matchAll(/<input[^>]*>/g)) {
    const of = (attribute: string) => new RegExp(` ${attribute}="([^"]*)"`).exec(tag)?.[1]
    const name = of('name')
    if (!name || name === '_csrf') continue
    if (/type="(checkbox|radio)"/.test(tag) && !/ checked/.test(tag)) continue
    fields[name] = plainOf(of('value') ?? '')
  }
  for (const [, name, text] of html.matchAll(/<textarea[^>]* name="([^"]*)"[^>]*>([\s\S]*?)<\/textarea>/g)) fields[name!] = plainOf(text!)
  for (const [, name, options] of html.matchAll(/<select[^>]* name="([^"]*)"[^>]*>([\s\S]*?)<\/select>/g))
    fields[name!] = plainOf((/value="([^"]*)" selected/.exec(options!) ?? /value="([^"]*)"/.exec(options!))?.[1] ?? '')
  return fields
}

const plainOf = (text: string) =>
  text.replace(/&#(\d+);|&(quot|amp|lt|gt);/g, (_, code, name) =>
    code ? String.fromCharCode(code) : { quot: '"', amp: '&', lt: '<', gt: '>' }[name as 'quot'],
  )
