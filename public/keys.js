// Single keys. Never while somebody types, never with Ctrl, Alt or Meta, and not where they were turned off.
const help = document.getElementById('keys-help')
const isSeen = element => element.checkVisibility?.({ visibilityProperty: true }) ?? element.offsetParent !== null

/** Elements that say their keys; of several the first that is in sight, or the link in the list of keys. */
const named = keys => {
  const found = [...document.querySelectorAll(`[data-keys="${CSS.escape(keys)}"]`)]
  return found.find(isSeen) ?? found.find(element => element.localName === 'a' && element.closest('.keys'))
}

const search = () => {
  const fields = document.querySelectorAll('[data-slash], main [role=search] input[name=text], main [role=search] input:not([type=hidden])')
  const field = [...fields].find(isSeen)
  if (!field) return false
  field.focus()
  field.select?.()
  return true
}

/** From line to line of the lists of the page. */
const move = by => {
  const lines = [...document.querySelectorAll('main :is(.rows tbody tr, .runs tbody tr, .lines > .line, .output-line)')].filter(
    line => isSeen(line) && line.querySelector('a[href]'),
  )
  if (lines.length === 0) return false
  const at = lines.findIndex(line => line.contains(document.activeElement))
  const line = lines[at < 0 ? (by > 0 ? 0 : lines.length - 1) : Math.max(0, Math.min(lines.length - 1, at + by))]
  line.querySelector('a[href]').focus()
  line.scrollIntoView({ block: 'nearest' })
  return true
}

const showHelp = () => {
  if (!help) return false
  if (help.open) help.close()
  else help.showModal()
  return true
}

const acts = { '/': search, j: () => move(1), k: () => move(-1), '?': showHelp }
const isTyping = target => target instanceof Element && target.closest('input, textarea, select, [contenteditable]') !== null

let before = ''
let forget
const listen = event => {
  if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || event.isComposing || isTyping(event.target)) return
  const begun = before
  before = ''
  clearTimeout(forget)
  if (event.key.length !== 1) return
  if (begun === '' && event.key === 'g') {
    before = 'g '
    forget = setTimeout(() => {
      before = ''
    }, 1500)
    return
  }
  const keys = begun + event.key
  const act = help?.open && keys !== '?' ? undefined : acts[keys]
  const element = act ? undefined : named(keys)
  if (act?.() || element) event.preventDefault()
  element?.click()
}
if (!('keysOff' in document.body.dataset)) addEventListener('keydown', listen)
