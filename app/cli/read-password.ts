import { text } from 'node:stream/consumers'
import { BgtaskError } from '../errors.ts'

/**
 * Asks twice on the terminal, without echo, or takes what stands on stdin (one line end at its end is none of it).
 * @throws BgtaskError `usage` without a terminal, `refused` when the two differ or it was given up
 */
export const readPassword = async ({ fromStdin, name }: { fromStdin: boolean; name: string }): Promise<string> => {
  if (fromStdin) return (await text(process.stdin)).replace(/\r?\n$/, '')
  if (!process.stdin.isTTY)
    throw new BgtaskError('usage', 'There is no terminal to ask for the password on; give --password-stdin and the password on stdin.')
  const first = await ask(`Password for ${name}: `)
  const second = await ask('Once more: ')
  if (first === second) return first
  throw new BgtaskError('refused', 'The two are not the same; nothing was changed.')
}

const ask = (question: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const { stdin, stderr } = process
    stdin.setRawMode(true)
    stderr.write(question)
    stdin.setEncoding('utf8')
    stdin.resume()
    let typed = ''
    const done = (act: () => void) => {
      stdin.off('data', take)
      stdin.setRawMode(false)
      stdin.pause()
      stderr.write('\n')
      act()
    }
    const take = (chunk: string) => {
      for (const character of chunk) {
        if (character === '\r' || character === '\n') return done(() => resolve(typed))
        if (character === '\u0003' || character === '\u0004')
          return done(() => reject(new BgtaskError('refused', 'Given up; nothing was changed.')))
        if (character === '\u007f' || character === '\b') typed = [...typed].slice(0, -1).join('')
        else if (character === '\u0015') typed = ''
        else if (character >= ' ') typed += character
      }
    }
    stdin.on('data', take)
  })
