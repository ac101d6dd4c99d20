import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/**
 * Whether a group holds nobody but one user: many systems give each user such a group, and let it write whatever the user writes.
 * @returns false when that cannot be found out
 */
export const isPrivateGroup = (uid: number, gid: number): boolean => {
  const user = lookUp('passwd', uid)
  const group = lookUp('group', gid)
  if (user === null || group === null) return false
  const [name, , , ownGid] = user.split(':')
  const [groupName, , , members = ''] = group.split(':')
  return ownGid === String(gid) && groupName === name && members.split(',').every(member => member === '' || member === name)
}

// getent also knows the users of LDAP and the like; where it is not, the file has to do.
const lookUp = (base: 'passwd' | 'group', id: number): string | null => {
  try {
    const found = execFileSync('getent', [base, String(id)], {
      env: { PATH: process.env.PATH },
      timeout: 5_000,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return found.split('\n')[0] || null
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? inFile(`/etc/${base}`, id) : null
  }
}

const inFile = (path: string, id: number): string | null => {
  try {
    return (
      readFileSync(path, 'utf8')
        .split('\n')
        .find(line => line.split(':')[2] === String(id)) ?? null
    )
  } catch {
    return null
  }
}
