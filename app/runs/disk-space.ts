import { statfsSync } from 'node:fs'

/** What is free for us on the disk of a folder, and how large it is. @throws when the folder cannot be looked at */
export const diskSpace = (folder: string): { freeBytes: number; sizeBytes: number } => {
  const { bavail, blocks, bsize } = statfsSync(folder)
  return { freeBytes: bavail * bsize, sizeBytes: blocks * bsize }
}
