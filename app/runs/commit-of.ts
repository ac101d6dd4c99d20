import { readFileSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

/** The commit that is checked out where this folder lies, by the files of git alone. @returns null when it is none of git's, or they cannot be read */
export const commitOf = (folder: string): string | null => tryTo(() => readCommit(gitFolderOf(folder)))

const gitFolderOf = (folder: string): string | null => {
  for (let at = folder; ; at = dirname(at)) {
    const found = join(at, '.git')
    const stat = statSync(found, { throwIfNoEntry: false })
    if (stat?.isDirectory()) return found
    // A second work tree has a file there that names the folder.
    if (stat?.isFile())
      return resolve(
        at,
        readFileSync(found, 'utf8')
          .replace(/^gitdir: /, '')
          .trim(),
      )
    if (dirname(at) === at) return null
  }
}

const readCommit = (git: string | null): string | null => {
  if (git === null) return null
  const head = readFileSync(join(git, 'HEAD'), 'utf8').trim()
  const name = /^ref: (refs\/[\w./-]{1,300})$/.exec(head)?.[1]
  if (name === undefined) return isCommit(head) ? head : null
  const common = tryTo(() => resolve(git, readFileSync(join(git, 'commondir'), 'utf8').trim())) ?? git
  for (const place of [git, common]) {
    const commit = tryTo(() => readFileSync(join(place, name), 'utf8').trim())
    if (commit && isCommit(commit)) return commit
  }
  const packed = tryTo(() => readFileSync(join(common, 'packed-refs'), 'utf8')) ?? ''
  const line = packed.split('\n').find(line => line.endsWith(` ${name}`))
  const commit = line?.split(' ', 1)[0] ?? ''
  return isCommit(commit) ? commit : null
}

const isCommit = (text: string) => /^[0-9a-f]{40,64}$/.test(text)

const tryTo = <T>(work: () => T): T | null => {
  try {
    return work()
  } catch {
    return null
  }
}
