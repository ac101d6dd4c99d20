import { existsSync, renameSync } from 'node:fs'
import { checkoutManifest, manifest } from './manifests.ts'

/** Puts the package.json of the checkout back, if another one is in its place. */
export const restoreManifest = (): void => {
  if (existsSync(checkoutManifest)) renameSync(checkoutManifest, manifest)
}
