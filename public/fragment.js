// A one-time link carries its token behind the #, which no server ever gets. Here it moves into the form, and out of the address bar and
// the history. Without this script the reader copies it into the field.
const onward = document.querySelector('[data-keeps-fragment]')
const field = document.getElementById('f-token')
const take = () => {
  const token = location.hash.slice(1)
  if (token) {
    field.value = token
    history.replaceState(null, '', location.pathname)
  }
  if (field.value === '') field.closest('.token-field').classList.add('asked')
}
if (onward) location.replace(onward.href + location.hash)
if (field) {
  take()
  // The link was opened where this page was open already: nothing is loaded then.
  addEventListener('hashchange', take)
}
