import { audited } from '../api/audited.ts'
import { checkPassword } from '../api/check-password.ts'
import { changePassword, checkName, createUser, existingUser, type Role } from '../api/users.ts'
import { exitCodes } from '../errors.ts'
import { clearLoginFailures } from '../store/login-throttle.ts'
import { turnOffSecondFactor } from '../store/second-factor.ts'
import { anyUser, listUsers } from '../store/users.ts'
import { makeLoginLink, onceLinkMs, removeFirstRun } from '../web/first-link.ts'
import { clearedSubjectsOf } from '../web/login-wait.ts'
import { panelAddress } from '../web/panel-address.ts'
import { asUsage } from './as-usage.ts'
import { commandLine } from './audited.ts'
import { withBackground } from './open.ts'
import { formatTime, note, print, printJson } from './print.ts'
import { readPassword } from './read-password.ts'
import { formatTable } from './table.ts'

interface PasswordOptions {
  passwordStdin?: boolean
}

export const runUserAdd = async (
  name: string,
  { role: given, passwordStdin = false }: PasswordOptions & { role?: Role },
): Promise<number> => {
  // Before anybody types a password for it twice.
  const checked = asUsage(() => checkName(name))
  const password = await readPassword({ fromStdin: passwordStdin, name })
  return withBackground(async background => {
    checkPassword(password, checked)
    // Somebody has to be able to manage the others; whoever comes later gets no more than was said.
    const role = given ?? ((await anyUser(background.db)) ? 'viewer' : 'admin')
    const user = await audited(background.db, commandLine(), { act: 'user-added', subject: checked, detail: role }, () =>
      createUser(background.db, { name, password, role }),
    )
    // With a user there is no first one to make any more.
    removeFirstRun(background.config.runtime)
    print(`User ${user.name} is added with role ${role}.`)
    return exitCodes.done
  })
}

export const runUserPasswd = async (
  name: string,
  { passwordStdin = false, resetSecondFactor = false }: PasswordOptions & { resetSecondFactor?: boolean },
): Promise<number> => {
  const password = await readPassword({ fromStdin: passwordStdin, name })
  return withBackground(async ({ db }) => {
    const user = await existingUser(db, name)
    checkPassword(password, user.name)
    await audited(db, commandLine(), { act: 'password-changed', subject: user.name }, () => changePassword(db, user.name, password))
    print(`The password of ${user.name} is changed, and their sessions have ended.`)
    if (resetSecondFactor) {
      await audited(db, commandLine(), { act: 'second-factor-reset', subject: user.name }, () => turnOffSecondFactor(db, user.id))
      print('The second factor is off.')
    }
    // Somebody else's wrong tries delay this person no longer.
    await clearLoginFailures(db, clearedSubjectsOf(user))
    return exitCodes.done
  })
}

/** Prints a link that signs that user in: for when the password is delayed by strangers, or forgotten, or the second factor is lost. */
export const runUserLink = async (name: string, { json }: { json?: boolean }): Promise<number> =>
  withBackground(async ({ db, config }) => {
    const user = await existingUser(db, name)
    const path = await audited(db, commandLine(), { act: 'login-link-made', subject: user.name }, () => makeLoginLink(db, user))
    const link = `${panelAddress(config)}${path}`
    if (json) printJson({ link, expiresAt: Date.now() + onceLinkMs })
    else {
      note(`Signs ${user.name} in, once and within 15 minutes, where the panel runs:`)
      print(link)
    }
    return exitCodes.done
  })

export const runUserList = async ({ json }: { json?: boolean }): Promise<number> =>
  withBackground(async ({ db }) => {
    const users = (await listUsers(db)).map(({ id, name, role, createdAt, passwordChangedAt, totpSecret }) => ({
      id,
      name,
      role,
      createdAt,
      passwordChangedAt,
      secondFactor: totpSecret !== null,
    }))
    if (json) printJson(users)
    else if (users.length === 0) print('There is no user yet: serve prints a link for the first one, or use user add.')
    else {
      const columns = [
        { title: 'name', value: (user: (typeof users)[number]) => user.name },
        { title: 'role', value: (user: (typeof users)[number]) => user.role },
        { title: 'since', value: (user: (typeof users)[number]) => formatTime(user.createdAt) },
        { title: 'second factor', value: (user: (typeof users)[number]) => (user.secondFactor ? 'on' : 'off') },
        { title: 'password of', value: (user: (typeof users)[number]) => formatTime(user.passwordChangedAt) },
      ]
      print(formatTable(columns, users))
    }
    return exitCodes.done
  })
