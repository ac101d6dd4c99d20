import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CommandDefinition } from '../../app/commands/define-commands.ts'

/** A folder with a commands file and programs that record how they were started. */
export interface CommandScene {
  folder: string
  /** The commands file, JSON. */
  file: string
  write(commands: Record<string, CommandDefinition | unknown>, mode?: number): void
  /** What the witness was started with, in order: its arguments, folder, environment and open files. */
  witnessed(): Witnessed[]
  /** An executable script of `#!/bin/sh` and these lines. @returns its path */
  script(name: string, lines: string): string
  witness: string
}

export interface Witnessed {
  argv: string[]
  cwd: string
  uid: number
  env: Record<string, string>
  /** Open descriptors, and where they lead. */
  files: Record<string, string>
}

/** @param path where; default: a new folder, which the caller removes */
export const commandScene = (path = mkdtempSync(join(tmpdir(), 'bgtask-commands-'))): CommandScene & { remove(): void } => {
  mkdirSync(path, { recursive: true })
  chmodSync(path, 0o755)
  const record = join(path, 'witnessed.jsonl')
  writeFileSync(record, '')
  chmodSync(record, 0o666)
  const witness = join(path, 'witness.cjs')
  writeFileSync(
    witness,
    `#!${process.execPath}
const { appendFileSync, readdirSync, readlinkSync } = require('node:fs')
const files = {}
for (const name of readdirSync('/proc/self/fd')) try { const to = readlinkSync('/proc/self/fd/' + name); if (!/^(anon_inode|\\/dev\\/null$|\\/proc\\/|pipe:.*)/.test(to) || Number(name) < 3) files[name] = to } catch {}
appendFileSync(${JSON.stringify(record)}, JSON.stringify({ argv: process.argv.slice(2), cwd: process.cwd(), uid: process.getuid(), env: process.env, files }) + '\\n')
console.log('witnessed')
`,
    { mode: 0o755 },
  )
  const file = join(path, 'commands.json')
  return {
    folder: path,
    file,
    witness,
    write(commands, mode = 0o600) {
      writeFileSync(file, JSON.stringify(commands))
      chmodSync(file, mode)
    },
    witnessed: () =>
      existsSync(record)
        ? readFileSync(record, 'utf8')
            .split('\n')
            .filter(Boolean)
            .map(line => JSON.parse(line) as Witnessed)
        : [],
    script(name, lines) {
      const script = join(path, name)
      writeFileSync(script, `#!/bin/sh\n${lines}\n`, { mode: 0o755 })
      return script
    },
    remove: () => rmSync(path, { recursive: true, force: true, maxRetries: 5 }),
  }
}
