import { loadConfig } from '../config.ts'
import { wholeNumber } from './open.ts'

/** Goes on until a signal ends it. */
export const runServe = async ({ inBackground = false, takeOver, takeOverSocket }: Options): Promise<null> => {
  const handed = takeOver === undefined ? null : { port: wholeNumber('--take-over', takeOver, 1, 65_535), socket: takeOverSocket ?? null }
  const config = await loadConfig()
  const { serve } = await import('../web/serve.ts')
  await serve(config, { inBackground, handed })
  return null
}

interface Options {
  inBackground?: boolean
  takeOver?: string
  takeOverSocket?: string
}
