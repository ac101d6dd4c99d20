import { loadConfig } from '../config.ts'

/** Goes on until a signal ends it. */
export const runServe = async (): Promise<null> => {
  const config = await loadConfig()
  const { serve } = await import('../web/serve.ts')
  await serve(config)
  return null
}
