import { messageOf } from '../errors.ts'
import { leafPrefix } from '../runs/bounds.ts'
import { endLeaf, findLeaves } from '../runs/cgroups.ts'
import type { Ticket } from '../runs/ticket.ts'

/** How long what a killed supervisor left in its leaves may take to be gone. */
const withinMs = 5_000

/** Removes the cgroups that earlier lives of this host's supervisor left, and ends what is in them; those of the runs that go on stay. */
export const sweepLeaves = async (
  named: readonly string[],
  host: string,
  live: readonly Ticket[],
  trouble: (sentence: string) => void,
): Promise<void> => {
  const kept = new Set(live.flatMap(({ bounds }) => bounds?.leaves.map(({ folder }) => folder) ?? []))
  try {
    const stale = findLeaves(named, leafPrefix(host)).filter(({ folder }) => !kept.has(folder))
    for (const leaf of stale) {
      const left = await endLeaf(leaf, withinMs)
      if (left.length > 0)
        trouble(`The cgroup ${leaf.folder} of an ended run cannot be removed: ${left.length} processes in it resist SIGKILL.`)
    }
  } catch (error) {
    trouble(`Cgroups that earlier runs left could not be removed: ${messageOf(error)}`)
  }
}
