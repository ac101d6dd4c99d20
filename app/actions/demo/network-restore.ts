import { linkSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { defineAction } from '../../index.ts'

/*
 * Switches the network of a classroom on again. The "switch" is a file, runtime/demo/network/<classroom>.json: while it is there the network
 * is off. A real one would speak to the router here.
 */
export default defineAction({
  description: 'Switches the network of a classroom on again, at the end of the lesson.',
  params: {
    type: 'object',
    properties: { classroom: { type: 'string', title: 'Classroom', pattern: '^[A-Za-z0-9-]{1,20}$' } },
    required: ['classroom'],
    additionalProperties: false,
  },
  execType: 'ONCE',
  async execute({ params: { classroom }, task, log }) {
    const file = join(resolve(process.env.BGTASK_RUNTIME ?? 'runtime'), 'demo', 'network', `${classroom}.json`)
    const taken = `${file}.${task.id}`
    try {
      // Of all who want to change it, one has it now.
      renameSync(file, taken)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      return `The network of ${classroom} was on already.`
    }
    const { task: restoredBy } = JSON.parse(readFileSync(taken, 'utf8')) as { task: number }
    if (restoredBy > task.id) {
      // Switched off anew while this run was on its way: that lesson has a task of its own.
      putBack(taken, file)
      log('left off', { classroom, restoredBy })
      return `The network of ${classroom} stays off: task ${restoredBy} switches it on.`
    }
    rmSync(taken)
    log('on', { classroom })
    return `The network of ${classroom} is on again.`
  },
})

const putBack = (taken: string, file: string) => {
  try {
    linkSync(taken, file)
  } catch (error) {
    // A newer one was written meanwhile.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    rmSync(taken)
  }
}
