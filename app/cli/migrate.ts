import { openBackground } from '../api/background.ts'
import { loadConfig, maskUrl } from '../config.ts'
import { exitCodes } from '../errors.ts'
import { migrate } from '../store/migrate.ts'
import { print, printJson } from './print.ts'

export const runMigrate = async ({ json }: { json?: boolean }): Promise<number> => {
  const config = await loadConfig()
  const background = await openBackground(config, { migrate: false })
  try {
    const applied = await migrate(background.db)
    if (json) printJson({ applied })
    else
      print(
        applied.length > 0
          ? `Applied to ${maskUrl(config.databaseUrl)}: ${applied.join(', ')}.`
          : `${maskUrl(config.databaseUrl)} is up to date.`,
      )
    return exitCodes.done
  } finally {
    await background.close()
  }
}
