import { type CronContext, type QueueInfos, RequeueItem, type WorkerContext } from '../index.ts'

/** A letter that waits to be sent. */
interface Letter {
  to: string
  /** For a look at what happens then: it is not sent, and stays. */
  fails?: boolean
}

/** Short work: called in every cron run. Long work is put into a queue, an item for each piece of it. */
export const cron = async ({ log, queue, lastRunAt }: CronContext) => {
  const since = lastRunAt === null ? 'ever' : new Date(lastRunAt).toISOString()
  const letters = queue<Letter>('demo_letters')
  for (const to of ['ada', 'ben', 'cleo']) await letters.createItem({ to })
  log('three letters are to be sent', { since, waiting: await letters.numberOfItems() })
}

/** Queues of this module: each cron run works one for at most `timeS`, and what is left waits for the next. */
export const cronQueueInfo = (): QueueInfos => ({
  demo_letters: { worker: send, timeS: 15, maxFailures: 3 },
})

const send = async (letter: Letter, { log, item }: WorkerContext<Letter>) => {
  // A throw says that it was not done: the item stays for a later run, and is set aside after three of them.
  if (letter.fails) throw new Error(`There is no address for ${letter.to}.`)
  // Not a failure, only not now.
  if (letter.to === 'later' && item.failures === 0 && Date.now() - item.createdAt < 1_000) throw new RequeueItem('too early')
  log(`a letter to ${letter.to} is sent`)
}
