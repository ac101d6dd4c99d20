import { join } from 'node:path'

export const root = join(import.meta.dirname, '..', '..')

/** What npm reads. */
export const manifest = join(root, 'package.json')

/** Where the one of the checkout lies while another is packed. */
export const checkoutManifest = join(root, 'package.checkout.json')
