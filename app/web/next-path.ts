/** Where to go after logging in: a path of the panel, never another site. @returns '/admin' for anything else */
export const nextPath = (given: unknown): string =>
  typeof given === 'string' && given.length <= 500 && allowed.test(given) ? given : '/admin'

const allowed = /^\/admin(?:\/[\w.-]+)*(?:\?[\w=&%.-]*)?$/
