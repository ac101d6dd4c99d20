import { userInfo } from 'node:os'

/** The operating system's user that we are; in a container the number may have no name. */
export const thisUser = (): { name: string; uid: number } => {
  try {
    const { username, uid } = userInfo()
    return { name: username, uid }
  } catch {
    const uid = process.getuid?.() ?? -1
    return { name: String(uid), uid }
  }
}
