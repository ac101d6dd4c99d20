/** At most three of `names`, those that `given` was most likely meant to be, best first; none that is nothing like it. */
export const nearestNames = (given: string, names: readonly string[]): string[] =>
  names
    .map(name => ({ name, distance: distance(given.toLowerCase(), name.toLowerCase()) }))
    .filter(
      ({ name, distance }) => distance <= Math.max(2, Math.floor(Math.max(given.length, name.length) * 0.4)) && distance < given.length,
    )
    .sort((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1))
    .slice(0, 3)
    .map(({ name }) => name)

/** Levenshtein's: how many letters to add, drop or change. Long texts are compared by their beginnings. */
const distance = (a: string, b: string): number => {
  const [from, to] = [a.slice(0, 64), b.slice(0, 64)]
  let row = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let i = 1; i <= from.length; i++) {
    const next = [i]
    for (let j = 1; j <= to.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (from[i - 1] === to[j - 1] ? 0 : 1)))
    }
    row = next
  }
  return row[to.length]!
}
