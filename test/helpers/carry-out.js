/* The script of a hostile page (foreign-site.ts), in a browser: carryOut() makes requests, each in the way that it names. */
const home = new URLSearchParams(location.search).get('home')

const add = (name, attributes, parent = document.body) => {
  const element = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value)
  parent.appendChild(element)
  return element
}
const form = (attributes, fields = {}) => {
  const made = add('form', attributes)
  for (const [name, value] of Object.entries(fields)) add('input', { type: 'hidden', name, value }, made)
  // A field may be called submit.
  return () => HTMLFormElement.prototype.submit.call(made)
}
const link = (url, attributes = {}) => {
  add('a', { href: url, id: 'go', ...attributes }).textContent = 'go'
}
const redirected = (url, status) => `${home}/redirect?status=${status}&to=${encodeURIComponent(url)}`
const refreshed = url => `${home}/meta?to=${encodeURIComponent(url)}`
const rules = (kind, url) => {
  const script = document.createElement('script')
  script.type = 'speculationrules'
  script.textContent = JSON.stringify({ [kind]: [{ source: 'list', urls: [url], eagerness: 'immediate' }] })
  document.head.append(script)
}
// That the answer may not be read is no matter: the question has been asked.
const ignore = () => undefined
const send = (url, method, more) => fetch(url, { method, credentials: 'include', ...more }).then(ignore, ignore)
let frames = 0

const acts = {
  img: url => add('img', { src: url }),
  iframe: url => add('iframe', { src: url }),
  'iframe sandboxed': url => add('iframe', { src: url, sandbox: 'allow-scripts allow-forms' }),
  'fetch no-cors': url => send(url, 'GET', { mode: 'no-cors' }),
  'fetch cors': url => send(url, 'GET', { mode: 'cors' }),
  'fetch keepalive': url => send(url, 'GET', { mode: 'no-cors', keepalive: true }),
  prefetch: url => add('link', { rel: 'prefetch', href: url }, document.head),
  'prefetch by rules': url => rules('prefetch', url),
  'prerender by rules': url => rules('prerender', url),
  script: url => add('script', { src: url }),
  module: url => add('script', { src: url, type: 'module' }),
  object: url => add('object', { data: url }),
  embed: url => add('embed', { src: url }),
  'css url': url => add('div', { style: `background: url("${url}"); width: 9px; height: 9px` }),
  'css import': url => {
    add('style', {}, document.head).textContent = `@import url("${url}");`
  },
  stylesheet: url => add('link', { rel: 'stylesheet', href: url }, document.head),
  video: url => add('video', { src: url, preload: 'auto' }),
  'event source': url => new EventSource(url, { withCredentials: true }),
  'link click': url => link(url),
  'link click without referrer': url => link(url, { referrerpolicy: 'no-referrer' }),
  'link in a new tab': url => link(url, { target: '_blank' }),
  'form GET': url => {
    const { origin, pathname, searchParams } = new URL(url)
    form({ action: origin + pathname, method: 'get' }, Object.fromEntries(searchParams))()
  },
  'meta refresh': url => location.replace(refreshed(url)),
  'meta refresh after a 302': url => location.replace(redirected(refreshed(url), 302)),
  'refresh header': url => location.replace(`${home}/refresh?to=${encodeURIComponent(url)}`),
  location: url => location.assign(url),
  'window.open': url => {
    const button = add('button', { id: 'go' })
    button.textContent = 'go'
    button.onclick = () => window.open(url)
  },
  '302 after a click': url => link(redirected(url, 302)),
  'fetch POST form': (url, fields) => send(url, 'POST', { mode: 'no-cors', body: new URLSearchParams(fields) }),
  'fetch POST text': (url, fields) => send(url, 'POST', { mode: 'no-cors', body: new URLSearchParams(fields).toString() }),
  'fetch POST json': (url, fields) =>
    send(url, 'POST', { mode: 'cors', headers: { 'content-type': 'application/json' }, body: JSON.stringify(fields) }),
  'fetch POST by a 307': (url, fields) => send(redirected(url, 307), 'POST', { mode: 'no-cors', body: new URLSearchParams(fields) }),
  beacon: (url, fields) => navigator.sendBeacon(url, new URLSearchParams(fields)),
  ping: url => add('a', { href: '#sent', ping: url }).click(),
  'form POST in a frame': (url, fields) => {
    frames++
    add('iframe', { name: `frame-${frames}` })
    form({ action: url, method: 'post', target: `frame-${frames}` }, fields)()
  },
  'form POST': (url, fields) => form({ action: url, method: 'post' }, fields)(),
  'form POST of text': (url, fields) => form({ action: url, method: 'post', enctype: 'text/plain' }, fields)(),
  'form POST with files': (url, fields) => form({ action: url, method: 'post', enctype: 'multipart/form-data' }, fields)(),
  'form POST without referrer': (url, fields) => {
    add('meta', { name: 'referrer', content: 'no-referrer' }, document.head)
    form({ action: url, method: 'post' }, fields)()
  },
  'form POST by a 307': (url, fields) => form({ action: redirected(url, 307), method: 'post' }, fields)(),
}
// Not in the call itself: who calls from outside of the page lends it a gesture of the visitor.
globalThis.carryOut = attacks =>
  setTimeout(() => {
    for (const { vector, url, fields } of attacks) acts[vector](url, fields ?? {})
  })
