import { restoreManifest } from './restore-manifest.ts'

// dist/ stays: it is of no use to a checkout, and harms nothing there.
restoreManifest()
