// The page is complete without this. It keeps the open page up to date and tells times in the reader's zone.
const { Turbo } = window

// Only the streams of Turbo are used: links and forms stay the browser's own.
Turbo.session.drive = false
Turbo.session.history.stop()

const language = document.documentElement.lang
// Also where the server shows an instant, so that nothing jumps when it is told in the reader's zone.
const locale = language === 'en' ? 'en-GB' : language
const exact = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'long' })
const relative = new Intl.RelativeTimeFormat(locale, { numeric: 'always' })

const steps = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
]
const sayRelative = at => {
  const seconds = Math.round((at - Date.now()) / 1000)
  const [unit, size] = steps.find(([, least]) => Math.abs(seconds) >= least) ?? ['second', 1]
  const count = Math.round(seconds / size)
  return relative.format(count === 0 ? -0 : count, unit)
}

const tellTimes = () => {
  for (const element of document.querySelectorAll('time[datetime]')) {
    const at = Date.parse(element.dateTime)
    const text = element.dataset.form === 'relative' ? sayRelative(at) : exact.format(at)
    if (element.textContent !== text) element.textContent = text
    const title = exact.format(at)
    if (element.title !== title) element.title = title
  }
}
tellTimes()
setInterval(tellTimes, 1000)

const offerCopies = () => {
  for (const block of document.querySelectorAll('[data-copy]:not(:has(> .copy))')) {
    const button = document.createElement('button')
    button.type = 'button'
    button.className = 'small copy'
    button.textContent = block.dataset.copy
    button.addEventListener('click', async () => {
      await navigator.clipboard.writeText(block.querySelector('code').textContent)
      button.textContent = document.body.dataset.copied
      setTimeout(() => {
        button.textContent = block.dataset.copy
      }, 2000)
    })
    block.append(button)
  }
}
offerCopies()

// What the reader has opened stays open when a region is drawn anew.
addEventListener('turbo:before-morph-attribute', event => {
  if (event.target.tagName === 'DETAILS' && event.detail.attributeName === 'open') event.preventDefault()
})
addEventListener('turbo:before-stream-render', event => {
  const { render } = event.detail
  event.detail.render = async element => {
    await render(element)
    tellTimes()
    offerCopies()
  }
})

// One stream a tab. When it breaks, the page says so; the browser tries again, and the server sends what was missed.
const live = document.getElementById('live')
const note = document.getElementById('live-note')
const watchStream = source => {
  let late
  source.addEventListener('error', () => {
    const ended = source.readyState === EventSource.CLOSED
    if (ended) clearTimeout(late)
    else if (late !== undefined) return
    late = setTimeout(
      () => {
        note.textContent = ended ? document.body.dataset.ended : document.body.dataset.lost
        note.hidden = false
      },
      ended ? 0 : 1500,
    )
  })
  source.addEventListener('open', () => {
    clearTimeout(late)
    late = undefined
    note.hidden = true
  })
}
if (live?.streamSource) watchStream(live.streamSource)
// A page that is left must not show "connection lost" while the next one loads.
addEventListener('pagehide', () => live?.streamSource?.close())
addEventListener('pageshow', event => {
  if (event.persisted) location.reload()
})

// Date and time of a form are meant in the reader's zone; the server gets the instant.
for (const field of document.querySelectorAll('input[type=datetime-local]')) {
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone
  const zone = field.form.querySelector('[data-zone-name]')
  if (zone) zone.textContent = own
  // Where the zone is a field of its own, the reader's stands there, and the time with it, until another was chosen.
  const zones = field.form.elements.zone
  const option = field.dataset.instant && [...(zones?.options ?? [])].find(({ value }) => value === own)
  if (option) {
    const at = new Date(field.dataset.instant)
    option.selected = true
    field.value = new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 19)
  }
  field.form.addEventListener('submit', () => {
    if (!field.form.elements.at_instant) return
    const at = new Date(field.value)
    field.form.elements.at_instant.value = Number.isNaN(at.getTime()) ? '' : at.toISOString()
  })
  field.addEventListener('input', () => {
    const choice = field.form.querySelector('input[name=when][value=at]')
    if (choice) choice.checked = true
  })
}

// A menu or question closes when the reader turns elsewhere.
addEventListener('click', event => {
  for (const box of document.querySelectorAll('details.menu[open], details.ask[open]')) if (!box.contains(event.target)) box.open = false
})
addEventListener('keydown', event => {
  if (event.key === 'Escape') for (const box of document.querySelectorAll('details.menu[open], details.ask[open]')) box.open = false
})
