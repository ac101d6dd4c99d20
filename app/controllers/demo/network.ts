import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Background } from '../../api/background.ts'
import { translate } from '../../texts/translate.ts'
import { redirectWith } from '../../web/panel.ts'
import { networkSwitch, type SwitchedOff } from './_network-switch.ts'

const classrooms = ['101', '102', '201', '202', 'Lab-1', 'Lab-2']
const lengthsS = [20, 5 * 60, 15 * 60, 45 * 60, 90 * 60]
const moreS = [5 * 60, 15 * 60]

/*
 * A teacher switches the network of a classroom off until the end of the lesson. The answer is immediate, and the network comes back by
 * itself: a delayed task, one for each teacher, which a newer one replaces. It lies in the database, so it outlives whatever crashes.
 */
export default async function network(app: FastifyInstance, { background, root }: { background: Background; root: string }) {
  const teachers = { onRequest: app.requireLogin('operator') }
  const school = networkSwitch(background.config.runtime)

  app.get('/demo/network', teachers, async (request, reply) => {
    const off = await Promise.all(school.list().map(room => whatIsOff(background, room, request.user!.id)))
    const rooms = classrooms.map(name => ({ name, off: off.find(({ classroom }) => classroom === name) ?? null }))
    const mine = off.find(({ isMine }) => isMine) ?? null
    const now = Date.now()
    // Looks again when one comes back, without any script.
    const nextMs = Math.min(...off.flatMap(({ until }) => (until === null ? [] : [Math.max(until - now, 1_000)])))
    if (nextMs < 600_000) reply.header('refresh', String(Math.ceil(nextMs / 1000) + 1))
    return reply.page('demo-network', { rooms, mine, now, lengthsS, moreS, folder: school.folder, root })
  })

  app.post('/demo/network', teachers, async (request, reply) => {
    const { classroom = '', length_s } = request.body as Record<string, string>
    const seconds = Number(length_s)
    const other = school.list().find(room => room.classroom === classroom && room.teacher.id !== request.user!.id)
    if (!classrooms.includes(classroom) || !lengthsS.includes(seconds)) return say(request, reply, 'bad', 'demo.network.wrong')
    // One that nothing switches on any more may be taken over.
    if (other && (await whatIsOff(background, other, request.user!.id)).until !== null) return isTaken(request, reply, other)
    // A teacher is in one classroom: another one that is still off comes back now, since its task is about to be replaced.
    for (const room of school.list()) if (room.teacher.id === request.user!.id && room.classroom !== classroom) school.on(room.classroom)
    const faster = await switchOff(request, classroom, { until: Date.now() + seconds * 1000, since: Date.now(), takesOver: other?.task })
    return faster ? isTaken(request, reply, faster) : say(request, reply, 'good', 'demo.network.isOff', { classroom })
  })

  app.post('/demo/network/extension', teachers, async (request, reply) => {
    const seconds = Number((request.body as Record<string, string>).more_s)
    const mine = school.list().find(({ teacher }) => teacher.id === request.user!.id)
    if (!mine || !moreS.includes(seconds)) return say(request, reply, 'bad', mine ? 'demo.network.wrong' : 'demo.network.nothing')
    const holder = await background.taskWithKey(keyOf(request))
    const until = Math.max(holder?.runAt ?? 0, Date.now()) + seconds * 1000
    const faster = await switchOff(request, mine.classroom, { until, since: mine.since })
    return faster ? isTaken(request, reply, faster) : say(request, reply, 'good', 'demo.network.extended', { classroom: mine.classroom })
  })

  app.post('/demo/network/on', teachers, async (request, reply) => {
    const mine = school.list().filter(({ teacher }) => teacher.id === request.user!.id)
    // First on, then the task away: should this process die between the two, the task finds that nothing is left to do.
    for (const { classroom } of mine) school.on(classroom)
    await background.cancelTask({ unique: keyOf(request) }, { by: request.user!.name })
    return mine[0]
      ? say(request, reply, 'good', 'demo.network.isOn', { classroom: mine[0].classroom })
      : say(request, reply, 'plain', 'demo.network.nothing')
  })

  // The task comes first: should this process die before the switch, the task finds that nothing is left to do. The other way round the
  // classroom would stay without network for good. @returns another teacher who was faster: then nothing is switched
  const switchOff = async (
    request: FastifyRequest,
    classroom: string,
    { until, since, takesOver }: { until: number; since: number; takesOver?: number | undefined },
  ): Promise<SwitchedOff | null> => {
    const { id, name } = request.user!
    const task = await background.addTask(
      'demo/network-restore',
      { classroom },
      { runAt: until, unique: keyOf(request), onConflict: 'replace', type: 'demo', creator: name },
    )
    const there = school.off({ classroom, teacher: { id, name }, since, task: task.id }, there =>
      there.teacher.id === id ? there.task < task.id : there.task === takesOver,
    )
    const holder = await background.taskWithKey(keyOf(request))
    if (there && there.teacher.id !== id) {
      if (holder?.id === task.id) await background.cancelTask({ unique: keyOf(request) }, { by: name })
      return there
    }
    // Pressed twice at once, for two classrooms, or called off meanwhile: what no task of theirs switches on any more comes back now.
    const newest = holder?.id ?? task.id + 1
    for (const room of school.list()) if (room.teacher.id === id && room.task < newest) school.on(room.classroom)
    return null
  }
}

const isTaken = (request: FastifyRequest, reply: Parameters<typeof say>[1], { classroom, teacher }: SwitchedOff) =>
  say(request, reply, 'bad', 'demo.network.taken', { classroom, teacher: teacher.name })

const keyOf = (request: FastifyRequest) => `teacher:${request.user!.id}`

/** Until when it is off, as its task says: that may have been moved on its own page. null: nothing switches it on. */
const whatIsOff = async (background: Background, room: SwitchedOff, reader: number) => {
  const holder = await background.taskWithKey(`teacher:${room.teacher.id}`)
  const task = holder?.id === room.task ? holder : null
  return { ...room, until: task?.runAt ?? null, isMine: room.teacher.id === reader }
}

const say = (
  request: FastifyRequest,
  reply: Parameters<typeof redirectWith>[1],
  tone: 'good' | 'bad' | 'plain',
  key: Parameters<typeof translate>[1],
  values: Record<string, string> = {},
) => redirectWith(request, reply, '/demo/network', { tone, text: translate(request.language, key, values) })
