import { join } from 'node:path'
import { defineCommands } from './app/index.ts'

/*
 * What the page Commands may run: programs of this machine, with arguments of this file's making. There is no shell anywhere.
 * This one is an example and changes nothing; put yours in its place. Yours would write: import { defineCommands } from 'bgtask'
 */
export default defineCommands({
  deploy: {
    description: 'Stands for your deploy script: prints its steps and changes nothing.',
    executable: join(import.meta.dirname, 'scripts', 'demo', 'deploy.sh'),
    arguments: ['--environment={environment}', '{dryRun}', '{revision}'],
    parameters: {
      environment: { title: 'Environment', enum: ['staging', 'production'] },
      revision: { title: 'Revision', description: 'A commit: 7 to 40 of 0-9 and a-f.', type: 'string', pattern: '^[0-9a-f]{7,40}$' },
      dryRun: { title: 'Dry run', description: 'Only says what would be done.', type: 'boolean', flag: '--dry-run' },
    },
    timeoutMs: 60_000,
  },
})
