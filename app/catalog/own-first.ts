/** In the order in which they are offered: the application's own actions, then the demos, then those of bgtask itself. Within each as they came. */
export const ownFirst = <Entry extends { name: string }>(entries: readonly Entry[]): Entry[] =>
  entries.toSorted((a, b) => rankOf(a) - rankOf(b))

const rankOf = ({ name }: { name: string }) => (name.startsWith('core/') ? 2 : name.startsWith('demo/') ? 1 : 0)
