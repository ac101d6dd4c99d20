import { noteAct } from '../api/audited.ts'
import { changePassword, createUser, type Role } from '../api/users.ts'
import { exitCodes } from '../errors.ts'
import { listUsers } from '../store/users.ts'
import { commandLine } from './audited.ts'
import { withBackground } from './open.ts'
import { formatTime, print, printJson } from './print.ts'
import { readPassword } from './read-password.ts'
import { formatTable } from './table.ts'

interface PasswordOptions {
  passwordStdin?: boolean
}

export const runUserAdd = async (name: string, { role, passwordStdin = false }: PasswordOptions & { role: Role }): Promise<number> => {
  const password = await readPassword({ fromStdin: passwordStdin, name })
  return withBackground(async background => {
    const user = await createUser(background.db, { name, password, role })
    await noteAct(background.db, commandLine(), { act: 'user-added', subject: user.name, detail: role })
    print(`User ${user.name} is added with role ${role}.`)
    return exitCodes.done
  })
}

export const runUserPasswd = async (name: string, { passwordStdin = false }: PasswordOptions): Promise<number> => {
  const password = await readPassword({ fromStdin: passwordStdin, name })
  return withBackground(async background => {
    await changePassword(background.db, name, password)
    await noteAct(background.db, commandLine(), { act: 'password-changed', subject: name })
    print(`The password of ${name} is changed, and their sessions have ended.`)
    return exitCodes.done
  })
}

export const runUserList = async ({ json }: { json?: boolean }): Promise<number> =>
  withBackground(async ({ db }) => {
    const users = (await listUsers(db)).map(({ id, name, role, createdAt, passwordChangedAt }) => ({
      id,
      name,
      role,
      createdAt,
      passwordChangedAt,
    }))
    if (json) printJson(users)
    else if (users.length === 0) print('There is no user yet: serve prints a link for the first one, or use user add.')
    else {
      const columns = [
        { title: 'name', value: (user: (typeof users)[number]) => user.name },
        { title: 'role', value: (user: (typeof users)[number]) => user.role },
        { title: 'since', value: (user: (typeof users)[number]) => formatTime(user.createdAt) },
        { title: 'password of', value: (user: (typeof users)[number]) => formatTime(user.passwordChangedAt) },
      ]
      print(formatTable(columns, users))
    }
    return exitCodes.done
  })
