import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import type { Config } from '../config.ts'
import { inPackage, moduleEnding } from '../paths.ts'
import { commandWithin } from '../runs/bounds.ts'
import { hostId } from '../runs/host-id.ts'
import { whyKeptBack } from '../runs/kept-back.ts'
import { type ArtifactTrouble, type FileState, lookAtDeclared, openDeclared } from '../runs/open-declared.ts'
import type { RunUser } from '../runs/run-user.ts'
import type { RunArtifact } from '../store/artifacts.ts'
import type { Run } from '../task/run.ts'

/** `kept-back`: a file of ours. `elsewhere`: on another host. `busy`: too many are being read for other users. */
export type Trouble = ArtifactTrouble | 'kept-back' | 'elsewhere' | 'busy'

export interface OpenArtifact extends FileState {
  /** Bytes `first` to `last`, or none when there are none. Ends with an error when the file has become shorter meanwhile. To be called once, or `close` instead. */
  read(first: number, last: number): Readable
  close(): void
}

type DatabaseAndRuntime = Pick<Config, 'runtime' | 'databaseUrl'>

/** Opens a file that a run declared, as the user of the run; or says why it cannot be had. */
export const openArtifact = async (config: DatabaseAndRuntime, artifact: RunArtifact, run: Run): Promise<OpenArtifact | Trouble> => {
  if (run.host !== hostId(config.runtime)) return 'elsewhere'
  if (whyKeptBack(artifact.path, artifact, config) !== null) return 'kept-back'
  return artifact.user === null ? openOwn(artifact, endOf(run)) : openAs(artifact.user, artifact, endOf(run))
}

/** How it lies there, for a list. That of another user's run is not looked at: only who asks for it finds out. */
export const lookAtArtifact = async (config: DatabaseAndRuntime, artifact: RunArtifact, run: Run): Promise<FileState | Trouble> => {
  if (run.host !== hostId(config.runtime)) return 'elsewhere'
  if (whyKeptBack(artifact.path, artifact, config) !== null) return 'kept-back'
  return artifact.user === null ? lookAtDeclared(artifact, endOf(run)) : { sizeBytes: artifact.sizeBytes, modifiedAt: artifact.declaredAt }
}

/** When a run has ended by itself, that moment is known; of one that died it may lie before its last write. */
const endOf = ({ outcome, endedAt }: Run) => (outcome === 'succeeded' || outcome === 'failed' ? endedAt : null)

const openOwn = async (artifact: RunArtifact, unchangedSince: number | null): Promise<OpenArtifact | ArtifactTrouble> => {
  const opened = await openDeclared(artifact, unchangedSince)
  if (typeof opened === 'string') return opened
  const { handle, state } = opened
  return {
    ...state,
    read: (first, last) => {
      if (last >= first) return exactly(handle.createReadStream({ start: first, end: last, highWaterMark: pieceBytes }), last - first + 1)
      void handle.close()
      return Readable.from([])
    },
    close: () => void handle.close(),
  }
}

const pieceBytes = 262_144

/** Each is a process of its own. */
const mostAsOthers = 8
let asOthers = 0
const answerMs = 10_000

const openAs = async (user: RunUser, artifact: RunArtifact, unchangedSince: number | null): Promise<OpenArtifact | Trouble> => {
  if (asOthers >= mostAsOthers) return 'busy'
  asOthers++
  const { path, device, inode, bornNs } = artifact
  const bounds = { user, noNewPrivileges: true, leaves: [], dataBytes: null, userProcesses: null, database: false }
  const program = [process.execPath, inPackage('app', 'runs', `read-as-user${moduleEnding}`)]
  const [command, ...given] = commandWithin(bounds, [...program, JSON.stringify({ path, device, inode, bornNs, unchangedSince })])
  const child = spawn(command!, given, {
    cwd: '/',
    env: { PATH: process.env.PATH, HOME: user.home },
    stdio: ['pipe', 'pipe', 'ignore', 'pipe'],
  })
  child.once('close', () => asOthers--)
  const [stdin, stdout, said] = [child.stdin!, child.stdout!, child.stdio[3] as Readable]
  // Whoever is gone by then has said so by its end.
  for (const stream of [child, stdin]) stream.on('error', () => child.kill('SIGKILL'))
  const watch = setTimeout(() => child.kill('SIGKILL'), answerMs)
  const lines = createInterface({ input: said })
  const [line] = (await Promise.race([once(lines, 'line'), once(lines, 'close')])) as [string | undefined]
  clearTimeout(watch)
  const answer = JSON.parse(line ?? '{"trouble":"unreadable"}') as { state?: FileState; trouble?: ArtifactTrouble }
  if (!answer.state) {
    child.kill('SIGKILL')
    return answer.trouble ?? 'unreadable'
  }
  return {
    ...answer.state,
    read: (first, last) => {
      stdin.end(`${first} ${last}`)
      const bytes = exactly(stdout, last - first + 1)
      bytes.once('close', () => child.kill('SIGKILL'))
      return bytes
    },
    close: () => child.kill('SIGKILL'),
  }
}

/** A reader who was told a length and gets less must not take it for the whole. */
const exactly = (source: Readable, bytes: number): Readable => {
  const counted = async function* () {
    let left = bytes
    for await (const piece of source as AsyncIterable<Buffer>) {
      left -= piece.length
      yield piece
    }
    if (left > 0) throw new Error(`the file ended ${left} bytes early: it has become shorter while it was read`)
  }
  return Readable.from(counted(), { objectMode: false })
}
