import { realpathSync, type Stats, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { type Sentence, told } from '../task/told.ts'
import { isPrivateGroup } from './private-group.ts'

/**
 * Why the commands file is not believed: somebody else than root, or than the user that we are, could have written it.
 * @param stat of the file itself
 * @returns a sentence with what to do; null: nobody else can
 */
export const whyNotBelieved = (path: string, stat: Pick<Stats, 'uid' | 'gid' | 'mode'>, ownUid: number): Sentence | null => {
  const quoted = JSON.stringify(path)
  if (stat.uid !== 0 && stat.uid !== ownUid)
    return told`${path} belongs to user ${stat.uid}, who could allow any command; only root and user ${ownUid}, who runs bgtask, are believed. As root: chown ${ownUid} ${quoted}`
  if (stat.mode & 0o002)
    return told`${path} can be written by everybody (mode ${modeOf(stat)}), so anybody could allow any command. Run: chmod go-w ${quoted}`
  if (stat.mode & 0o020 && !isPrivateGroup(stat.uid, stat.gid))
    return told`${path} can be written by its group ${stat.gid} (mode ${modeOf(stat)}), who could allow any command. Run: chmod go-w ${quoted}`
  const folder = openFolder(path)
  return folder === null
    ? null
    : told`${path} lies below ${folder}, which everybody can write, so anybody could put another file in its place. Run: chmod o-w ${JSON.stringify(folder)}`
}

/** The first folder above a file in which everybody can replace what lies there; null: none. The sticky bit, as /tmp has it, keeps that off. */
export const openFolder = (path: string): string | null => {
  for (let folder = dirname(realpathSync(path)); ; folder = dirname(folder)) {
    const { mode } = statSync(folder)
    if (mode & 0o002 && !(mode & 0o1000)) return folder
    if (folder === dirname(folder)) return null
  }
}

export const modeOf = ({ mode }: Pick<Stats, 'mode'>): string => (mode & 0o7777).toString(8).padStart(3, '0')
