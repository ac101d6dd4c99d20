import { BgtaskError } from '../errors.ts'
import { anyOf, fullStop, inTurn, told } from '../task/told.ts'
import type { Command, Value } from './command.ts'
import type { Commands } from './load-commands.ts'
import { readArgs } from './read-args.ts'

/**
 * The command of that name.
 * @throws BgtaskError `refused`, with what is wrong with the file or the name; `not-found` when there is none of that name
 */
export const findCommand = (commands: Commands, name: unknown): Command => {
  const shown = typeof name === 'string' ? JSON.stringify(name.slice(0, 64)) : String(typeof name)
  const command = typeof name === 'string' ? commands.get(name) : undefined
  if (command) return command
  if (commands.fault !== null) throw new BgtaskError('misconfigured', commands.fault)
  const broken = commands.broken.find(one => one.name === name)
  if (broken)
    throw new BgtaskError('misconfigured', told`${broken.sentence} It cannot be run until that is mended in ${commands.file ?? '–'}.`)
  if (commands.file === null)
    throw new BgtaskError(
      'not-found',
      told`There is no command ${shown}: there is no commands file. The page Commands, and the README, say how to write one.`,
    )
  const like = typeof name === 'string' ? commands.nearest(name) : []
  const names = commands.entries.slice(0, 10).map(entry => entry.name)
  const known =
    names.length === 1
      ? told`. There is only ${names[0]!}.`
      : names.length > 0
        ? told`. There are ${names.join(', ')}${commands.entries.length > 10 ? told` and others` : ''}.`
        : told`: the commands file has none.`
  throw new BgtaskError('not-found', told`There is no command ${shown}${like.length > 0 ? told`; did you mean ${anyOf(like)}?` : known}`)
}

/** @throws BgtaskError `refused`, with a sentence about each value that is wrong */
export const valuesFor = (command: Command, args: unknown): Map<string, Value> => {
  const { values, problems } = readArgs(command, args)
  if (values) return values
  throw new BgtaskError('refused', told`The command ${command.name} is not run: ${fullStop(inTurn(problems))}`)
}
