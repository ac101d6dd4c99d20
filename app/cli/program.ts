import { Command, CommanderError, Option } from 'commander'
import { exitCodes } from '../errors.ts'
import { ourCommand, packageVersion } from '../paths.ts'
import { missedRules, overlapRules } from '../task/schedule.ts'

/**
 * Runs a command of ours.
 * @returns its exit code; null when it goes on as a server
 */
export const runProgram = async (args: readonly string[]): Promise<number | null> => {
  let code: number | null = exitCodes.done
  const program = commands(result => {
    code = result
  })
  if (args.length === 0) {
    program.outputHelp({ error: true })
    return exitCodes.usage
  }
  try {
    await program.parseAsync(args, { from: 'user' })
    return code
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage
    throw error
  }
}

// Each command's code is loaded when it is asked for, so that `status` does not pay for `serve`.
const commands = (report: (code: number | null) => void): Command => {
  const program = new Command('bgtask')
  const command = (usage: string, description: string, examples: readonly string[] = []) =>
    program
      .command(usage)
      .description(description)
      .addHelpText('after', examples.length > 0 ? `\nExamples:\n${examples.map(line => `  $ ${ourCommand} ${line}`).join('\n')}` : '')
  const does =
    <Args extends unknown[]>(run: (...args: Args) => Promise<number | null>) =>
    async (...args: Args) =>
      report(await run(...args))

  program
    .description('Background loops and one-off tasks.')
    .usage('<command> [options]  |  <action> <id>')
    .version(packageVersion(), '-V, --version')
    .exitOverride()
    .showSuggestionAfterError()
    .configureOutput({ outputError: (text, write) => write(sentence(text)) })
    .configureHelp({ showGlobalOptions: false, sortSubcommands: false })
    .addHelpText('after', afterHelp)
  program.helpCommand('help [command]', 'how a command is used')

  program.commandsGroup('Servers:')
  command('serve', 'serve the panel, and start the supervisor unless BGTASK_AUTOSTART=off')
    // What `panel` starts, and what a panel that reloads starts.
    .addOption(new Option('--in-background').hideHelp())
    .addOption(new Option('--take-over <port>').hideHelp())
    .addOption(new Option('--take-over-socket <path>').hideHelp())
    .action(does(async options => (await import('./serve.ts')).runServe(options)))
  command('supervise', 'run the supervisor in the foreground, for systemd and containers; exit 75 when another has it').action(
    does(async () => (await import('./supervise.ts')).runSupervise()),
  )

  command('init', 'give the application in this folder its first action; for an installed package').action(
    does(async () => (await import('./init.ts')).runInit()),
  )

  program.commandsGroup('Panel and loop in the background:')
  const panel = command('panel', 'both together; what scripts/start.sh, stop.sh, restart.sh and reload.sh call', [
    'panel start',
    'panel reload',
    'panel stop',
  ])
  panel
    .command('start')
    .description('start both and wait until they answer; exit 75 when they run already')
    .action(does(async () => (await import('./panel.ts')).runPanelStart()))
  panel
    .command('stop')
    .description('stop both and wait until they have ended')
    .action(does(async () => (await import('./panel.ts')).runPanelStop()))
  panel
    .command('reload')
    .description('fresh code for the panel, without refusing a request, and for the running loops')
    .action(does(async () => (await import('./panel.ts')).runPanelReload()))

  program.commandsGroup('The supervisor on this host:')
  command('start', 'start the supervisor in the background and end a hold; exit 75 when it runs already', ['start'])
    .addOption(json())
    .action(does(async options => (await import('./start.ts')).runStart(options)))
  command('stop', 'stop the supervisor and wait until it has ended', ['stop', 'stop --hold'])
    .option('--hold', 'keep it down, also when /admin is visited, until the next start')
    .addOption(json())
    .action(does(async options => (await import('./stop.ts')).runStop(options)))
  command('restart', 'stop the supervisor, then start it')
    .addOption(json())
    .action(does(async options => (await import('./restart.ts')).runRestart(options)))
  command('reload', 'replace running loops one after the other by fresh code')
    .addOption(json())
    .action(does(async options => (await import('./reload.ts')).runReload(options)))
  command('status', 'how the supervisor and the tasks stand; exit 1 when the supervisor does not run', ['status', 'status --json'])
    .addOption(json())
    .action(does(async options => (await import('./status.ts')).runStatus(options)))

  program.commandsGroup('Tasks:')
  command('add', 'add a task', [
    'add demo/csv-export',
    `add demo/csv-export '{"rows": 1000}' --type system --creator kim`,
    'add demo/report/hello-world --in 10m',
    'add demo/heartbeat --forever --unique heartbeat',
  ])
    .argument('<action>', 'report/build: the file report/build.ts in an actions folder, or what report.ts exports as build')
    .argument('[json]', 'params, as JSON; - reads them from stdin')
    .option('--forever', 'a loop: kept up for good')
    .option('--type <text>', 'of your choice, to find it by')
    .option('--creator <text>', 'who wants it')
    .option('--unique <key>', 'only one task that has not ended has this key')
    .addOption(
      new Option('--on-conflict <what>', 'when another task has the key (default: keep)').choices([
        'keep',
        'replace',
        'keepLast',
        'reject',
      ]),
    )
    .option('--at <time>', 'when it is due, like 2026-11-21T08:00:00+01:00')
    .option('--in <duration>', 'when it is due from now, like 30s, 5m, 1h30m')
    .option('--priority <number>', '-1000 to 1000, lower runs first (default: 0)')
    .option('--max-attempts <number>', 'tries before it is failed')
    .option('--timeout <duration>', 'a longer run is stopped')
    .option('--grace <duration>', 'between asking a run to stop and making it (default: 10s)')
    .option('--no-rerun-after-crash', 'do not run it again when a run died without an outcome')
    .addOption(json())
    .action(does(async (action, params, options) => (await import('./add.ts')).runAdd(action, params, options)))
  command('records', 'list tasks, newest first', [
    'records --state failed',
    'records --type system --creator kim',
    'records --action demo/csv-export --limit 100 --json',
  ])
    .option('--state <state>', 'one or more, with commas: waiting, running, succeeded, failed, cancelled, stopped, tripped …')
    .option('--action <action>', 'of this action')
    .option('--type <type>', 'of this type')
    .option('--creator <creator>', 'that this one wanted')
    .option('--unique <key>', 'all that have had this unique key')
    .option('--limit <number>', 'how many at most', '20')
    .addOption(json())
    .action(does(async options => (await import('./records.ts')).runRecords(options)))
  command('show', 'all about a task and its runs', ['show 7', 'show --unique teacher:17'])
    .argument('[id]', 'of the task, or its uid')
    .option('--unique <key>', 'in place of the id: the task that holds this unique key')
    .addOption(json())
    .action(does(async (id, options) => (await import('./show.ts')).runShow(id, options)))
  command('output', 'what a run printed, without its secrets', ['output 7', 'output 7 -f', 'output 7 -n 20'])
    .argument('<id>', 'of the task, or its uid')
    .option('-f, --follow', 'go on until the run ends')
    .option('-r, --run <number>', 'of the run (default: the newest)')
    .option('-n, --tail <lines>', 'only so many lines of the end')
    .option('--raw', 'leave control characters in it, which may steer a terminal')
    .action(does(async (id, options) => (await import('./output.ts')).runOutput(id, options)))
  command('cancel', 'cancel a ONCE task, or stop a loop', ['cancel 7', 'cancel --unique teacher:17'])
    .argument('[id]', 'of the task, or its uid')
    .option('--unique <key>', 'in place of the id: whatever holds this unique key, and what is to follow it')
    .addOption(json())
    .action(does(async (id, options) => (await import('./cancel.ts')).runCancel(id, options)))
  command('retry', 'run an ended task again, or give a loop a fresh process')
    .argument('<id>', 'of the task, or its uid')
    .addOption(json())
    .action(does(async (id, options) => (await import('./retry.ts')).runRetry(id, options)))
  command('edit', 'give a loop, or a task that waits, other params or limits', [
    `edit 7 '{"rows": 2000}' --restart`,
    'edit 7 --grace 30s',
    'edit 7 --revert 3',
  ])
    .argument('<id>', 'of the task, or its uid')
    .argument('[json]', 'the new params as a whole; - reads them from the standard input')
    .option('--priority <number>', 'lower runs first')
    .option('--max-attempts <number>', 'tries before it has failed')
    .option('--timeout <duration>', 'a run that takes longer is stopped')
    .option('--grace <duration>', 'between asking it to stop and making it')
    .option('--restart', 'a loop gets a fresh process with them after its current iteration (default: they count from its next start)')
    .option('--revert <change>', 'bring back what was there before this change; the page lists them')
    .addOption(json())
    .action(does(async (id, params, options) => (await import('./edit.ts')).runEdit(id, params, options)))
  command('move', 'give a waiting task another due time', ['move 7 --in 10m', 'move --unique teacher:17 --at 2026-11-21T10:45:00+01:00'])
    .argument('[id]', 'of the task, or its uid')
    .option('--unique <key>', 'in place of the id: the task that holds this unique key')
    .option('--at <time>', 'like 2026-11-21T08:00:00+01:00')
    .option('--in <duration>', 'from now, like 30s, 5m, 1h30m')
    .addOption(json())
    .action(does(async (id, options) => (await import('./move.ts')).runMove(id, options)))
  const failed = command('failed', 'tasks that failed for good: by which errors, run them again, discard them', [
    'failed list',
    'failed retry --action report/build',
    'failed discard --error 3f0c…',
  ])
  failed
    .command('list')
    .description('by which errors tasks failed, and how many by each')
    .option('--action <action>')
    .option('--limit <number>', 'how many at most', '50')
    .addOption(json())
    .action(does(async options => (await import('./failed.ts')).runFailedList(options)))
  for (const [act, about] of [
    ['retry', 'run them again, in the background'],
    ['discard', 'delete them with their runs and output, in the background'],
  ] as const) {
    failed
      .command(act)
      .description(about)
      .option('--action <action>')
      .option('--type <type>')
      .option('--creator <creator>')
      .option('--error <key>', 'only those of this error, as `failed list` has it')
      .option('--all', 'everything that failed')
      .addOption(json())
      .action(does(async options => (await import('./failed.ts')).runFailedRecovery(act, options)))
  }
  command('debug', 'run a task here once, with its output and figures; its state is left alone', ['debug 7', 'debug 7 --timeout 1m'])
    .argument('<id>', 'of the task, or its uid')
    .option('--timeout <duration>', 'stop it then', '10m')
    .addOption(json())
    .action(does(async (id, options) => (await import('./debug.ts')).runDebug(id, options)))
  command('command', 'run a command of the commands file; list shows which there are', [
    'command list',
    'command deploy environment=staging revision=a1b2c3d',
    'command deploy environment=staging revision=a1b2c3d --wait',
  ])
    .argument('[name]', 'of the command; list, or none, shows which there are')
    .argument('[values...]', 'as name=value')
    .option('-w, --wait', 'show its output and wait for its end; exit 1 when it fails')
    .addOption(json())
    .action(does(async (name, values, options) => (await import('./command.ts')).runCommand(name, values, options)))

  program.commandsGroup('Schedules:')
  const schedule = command('schedule', 'tasks that are made at certain times', [
    "schedule add nightly shop/clean-up '{\"days\": 30}' --cron '30 2 * * *' --zone Europe/Berlin",
    'schedule add feeds feeds/poll --every 15m --overlap skip',
    'schedule list',
    "schedule next '0 9 * * MON-FRI' --zone Asia/Shanghai",
  ])
  schedule
    .command('list')
    .description('which there are, with their next times')
    .addOption(json())
    .action(does(async options => (await import('./schedule.ts')).runScheduleList(options)))
  schedule
    .command('add <name> <action> [params]')
    .description('make one; params as JSON, or - to read them from stdin')
    .option('--cron <text>', 'minute hour day month weekday, with the second before them if wished; or @daily …')
    .option('--zone <zone>', 'whose clock the cron text is read by (default: UTC)')
    .option('--every <duration>', 'instead of a cron text: 15m, 6h, 1d')
    .addOption(new Option('--missed <rule>', 'due times that passed while no supervisor ran (default: once)').choices(missedRules))
    .addOption(new Option('--overlap <rule>', 'while the last task has not ended (default: allow)').choices(overlapRules))
    .option('--type <type>', 'free text, to group by')
    .option('--creator <creator>', 'free text, who wanted it')
    .option('--unique <key>', 'only one task that has not ended has this key')
    .addOption(new Option('--on-conflict <what>', 'when another task has the key (default: keep)').choices(['keep', 'replace', 'keepLast']))
    .option('--priority <number>', 'lower runs first (default: 0)')
    .option('--max-attempts <number>', 'tries before it is failed')
    .option('--timeout <duration>', 'a longer run is stopped')
    .option('--grace <duration>', 'between asking a run to stop and making it (default: 10s)')
    .addOption(json())
    .action(does(async (name, action, params, options) => (await import('./schedule.ts')).runScheduleAdd(name, action, params, options)))
  for (const [verb, about] of [
    ['pause', 'it makes nothing until it is resumed'],
    ['resume', 'it goes on with its next time'],
    ['run', 'make one task now; its times stay as they are'],
    ['remove', 'its tasks stay'],
  ] as const) {
    schedule
      .command(`${verb} <name>`)
      .description(about)
      .addOption(json())
      .action(does(async (name, options) => (await import('./schedule.ts')).runScheduleAct(verb, name, options)))
  }
  schedule
    .command('next <cron>')
    .description('the next times of a cron text, or of a schedule of that name; nothing is stored')
    .option('--zone <zone>', 'whose clock the cron text is read by (default: UTC)')
    .option('--count <number>', 'how many', '5')
    .addOption(json())
    .action(does(async (cron, options) => (await import('./schedule.ts')).runScheduleNext(cron, options)))
  const cron = command('cron', 'hooks and queues of the modules', ['cron run --wait', 'cron status', 'cron key'])
  cron
    .command('run')
    .description('ask for a cron run; while one waits or runs, none is added')
    .option('--wait', 'until it has ended; exit 1 when it failed')
    .addOption(json())
    .action(does(async options => (await import('./cron.ts')).runCronRun(options)))
  cron
    .command('status')
    .description('how hooks and queues fared, and what waits')
    .addOption(json())
    .action(does(async options => (await import('./cron.ts')).runCronStatus(options)))
  cron
    .command('key')
    .description('print the secret address by which cron can be run; made when there is none yet')
    .option('--renew', 'a new key: the old address opens nothing any more')
    .addOption(json())
    .action(does(async options => (await import('./cron.ts')).runCronKey(options)))

  program.commandsGroup('Set-up:')
  command('check', 'look at everything that keeps the supervisor from running; exit 78 when something does')
    .addOption(json())
    .action(does(async options => (await import('./check.ts')).runCheck(options)))
  command('migrate', "bring the database's tables up to date")
    .addOption(json())
    .action(does(async options => (await import('./migrate.ts')).runMigrate(options)))
  const user = command('user', 'people who may use the panel', [
    'user add kim --role operator',
    'user add kim --password-stdin < password.txt',
    'user passwd kim',
    'user link kim',
    'user list',
  ])
  user
    .command('add <name>')
    .description('add one; the password is asked for')
    .addOption(
      new Option('--role <role>', 'what they may do; without it the first user is admin, others are viewer').choices([
        'viewer',
        'operator',
        'admin',
      ]),
    )
    .option('--password-stdin', 'read the password from stdin')
    .action(does(async (name, options) => (await import('./user.ts')).runUserAdd(name, options)))
  user
    .command('passwd <name>')
    .description('change a password; their sessions end, and wrong tries are forgotten')
    .option('--password-stdin', 'read the password from stdin')
    .option('--reset-second-factor', 'turn their second factor off as well: the app and the recovery codes are lost')
    .action(does(async (name, options) => (await import('./user.ts')).runUserPasswd(name, options)))
  user
    .command('link <name>')
    .description('print a link that signs them in, once and within 15 minutes')
    .addOption(json())
    .action(does(async (name, options) => (await import('./user.ts')).runUserLink(name, options)))
  user
    .command('list')
    .description('who there is')
    .addOption(json())
    .action(does(async options => (await import('./user.ts')).runUserList(options)))
  const token = command('token', 'keys for programs that use the API', [
    'token create deploy --scope loop:restart',
    `token create shop --scope 'task:add:report/*' --scope task:read --expires 365d`,
    'token revoke 3',
  ])
  token
    .command('create <name>')
    .description('make one; it is shown this once')
    .addOption(
      new Option('--scope <scope>', 'what it may do; again for each: task:add:<action>, task:add:<folder>/*, task:read, task:control, …')
        .argParser((scope: string, before: readonly string[] | undefined) => [...(before ?? []), scope])
        .makeOptionMandatory(),
    )
    .option('--expires <duration>', 'how long it lives, like 12h or 365d, or never', '90d')
    .addOption(json())
    .action(does(async (name, options) => (await import('./token.ts')).runTokenCreate(name, options)))
  token
    .command('list')
    .description('which there are, newest first')
    .addOption(json())
    .action(does(async options => (await import('./token.ts')).runTokenList(options)))
  token
    .command('revoke <id>')
    .description('it opens nothing from now on')
    .addOption(json())
    .action(does(async (id, options) => (await import('./token.ts')).runTokenRevoke(id, options)))
  return program
}

const json = () => new Option('--json', 'for programs: one JSON value on stdout')

const sentence = (text: string) => {
  const plain = text
    .replace(/^error: /, '')
    .trim()
    .replaceAll('\n', ' ')
  const end = /[?!)]$/.test(plain) ? '' : `${plain.endsWith('.') ? '' : '.'} --help shows what there is.`
  return `${plain.charAt(0).toUpperCase()}${plain.slice(1)}${end}\n`
}

const afterHelp = `
A task run by hand, in this terminal; its state is left alone:
  $ ${ourCommand} demo/csv-export 7

Exit codes: 0 done, 1 failed, 2 usage, 75 running already or busy, 78 misconfigured.
DEBUG=bgtask before a command shows where an error came from.`
