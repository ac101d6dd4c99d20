import { loadConfig } from '../config.ts'
import { wholeNumber } from './open.ts'

/** Goes on until a signal ends it. */
export const runServe = async ({ inBackground = false, takeOver }: { inBackground?: boolean; takeOver?: string }): Promise<null> => {
  const port = takeOver === undefined ? null : wholeNumber('--take-over', takeOver, 1, 65_535)
  const config = await loadConfig()
  const { serve } = await import('../web/serve.ts')
  await serve(config, { inBackground, takeOverPort: port })
  return null
}
