import { accessSync, constants, statSync } from 'node:fs'
import { messageOf } from '../errors.ts'
import { type Sentence, told } from '../task/told.ts'
import type { Command } from './command.ts'
import { isPrivateGroup } from './private-group.ts'
import { modeOf, openFolder } from './who-may-write.ts'

/** Why a command cannot be started on this machine, after "the command <name>" and with what to do; null: nothing is in its way. */
export const whyNotStarted = ({ executable, cwd, runAs }: Pick<Command, 'executable' | 'cwd' | 'runAs'>): Sentence | null => {
  try {
    const stat = statSync(executable, { throwIfNoEntry: false })
    if (!stat) return told`names ${executable}, which is not there; mend the path, or install it`
    if (!stat.isFile()) return told`names ${executable}, which is no file`
    if (!(stat.mode & 0o111)) return told`names ${executable}, which cannot be executed; run: chmod +x ${JSON.stringify(executable)}`
    if (stat.mode & 0o002)
      return told`names ${executable}, which everybody can change (mode ${modeOf(stat)}); run: chmod o-w ${JSON.stringify(executable)}`
    if (stat.mode & 0o020 && !isPrivateGroup(stat.uid, stat.gid))
      return told`names ${executable}, which its group ${stat.gid} can change (mode ${modeOf(stat)}); run: chmod g-w ${JSON.stringify(executable)}`
    const ownUid = process.getuid?.() ?? -1
    // Whoever owns it can write something else into it, to be run as us; with runAs it is another's, and nothing of ours is to be had.
    if (runAs === null && stat.uid !== 0 && stat.uid !== ownUid)
      return told`names ${executable}, which belongs to user ${stat.uid}, who could make it anything and have it run as user ${ownUid}; give it to root or user ${ownUid}, or say runAs`
    const folder = openFolder(executable)
    if (folder !== null)
      return told`names ${executable}, which everybody can replace, since ${folder} is open to all; run: chmod o-w ${JSON.stringify(folder)}`
    accessSync(executable, constants.X_OK)
    if (!statSync(cwd, { throwIfNoEntry: false })?.isDirectory()) return told`names the folder ${cwd} (cwd), which is not there`
    return null
  } catch (error) {
    return told`cannot be looked at: ${messageOf(error)}`
  }
}
