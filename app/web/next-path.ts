/** Where to go after logging in: a path of the panel, never another site. @param root of the panel @returns the root for anything else */
export const nextPath = (given: unknown, root: string): string => {
  if (typeof given !== 'string' || given.length > 500 || !given.startsWith(root)) return root
  return below.test(given.slice(root.length)) ? given : root
}

const below = /^(?:\/(?!\.{1,2}(?:[/?]|$))[\w.-]+)*(?:\?[\w=&%.-]*)?$/
