import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** Another user as whom a run is started. */
export interface RunUser {
  /** As the action says it. */
  asked: string
  uid: number
  gid: number
  home: string
  /** With all the groups that the system gives this user; else with none but its own. */
  initGroups: boolean
}

/**
 * Looks up whom `runAs` means: `name`, `uid`, `name:group` or `uid:gid`.
 * @returns null when there is no such user or group. A uid that nobody has a name for needs its gid with it.
 */
export const findRunUser = async (asked: string): Promise<RunUser | null> => {
  const [user = '', group] = asked.split(':')
  const entry = (await lookUp('passwd', user))?.split(':')
  const gid =
    group === undefined ? null : /^\d+$/.test(group) ? Number(group) : Number((await lookUp('group', group))?.split(':')[2] ?? Number.NaN)
  if (gid !== null && !Number.isSafeInteger(gid)) return null
  if (entry) {
    return {
      asked,
      uid: Number(entry[2]),
      gid: gid ?? Number(entry[3]),
      home: entry[5] || '/',
      initGroups: gid === null,
    }
  }
  return /^\d+$/.test(user) && gid !== null ? { asked, uid: Number(user), gid, home: '/', initGroups: false } : null
}

// getent also knows the users of LDAP and the like; where it is not, the file has to do.
const lookUp = (base: 'passwd' | 'group', key: string): Promise<string | null> =>
  new Promise((resolve, reject) => {
    execFile('getent', [base, key], { env: { PATH: process.env.PATH }, timeout: 5_000 }, (error, stdout) => {
      if (!error) resolve(stdout.split('\n')[0] || null)
      else if (error.code === 'ENOENT') resolve(inFile(`/etc/${base}`, key))
      // getent(1): 2, the key was not found
      else if (error.code === 2) resolve(null)
      else reject(error)
    })
  })

const inFile = (path: string, key: string): string | null =>
  readFileSync(path, 'utf8')
    .split('\n')
    .find(line => line.split(':')[0] === key || line.split(':')[2] === key) ?? null
