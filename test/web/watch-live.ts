import assert from 'node:assert/strict'
import { request } from 'node:http'
import type { ListeningPanel, SignedIn } from '../helpers/listening-panel.ts'

/** A live stream as a page of that session has one. */
export interface Watched {
  isOpen(): boolean
  /** Resolves when the panel ends it, with that moment on the clock of performance.now(). */
  ended: Promise<number>
}

export const watchLive = (panel: ListeningPanel, as: SignedIn, page = '/admin'): Promise<Watched> =>
  new Promise((resolve, reject) => {
    const sent = request({
      host: '127.0.0.1',
      port: panel.port,
      path: `/admin/live?page=${page}`,
      headers: { host: new URL(panel.origin).host, cookie: as.cookie, accept: 'text/event-stream', 'sec-fetch-site': 'same-origin' },
      agent: false,
      setHost: false,
    })
    sent.once('error', reject)
    sent.once('response', answer => {
      assert.equal(answer.statusCode, 200)
      answer.resume()
      let open = true
      const ended = new Promise<number>(done => {
        answer.once('close', () => {
          open = false
          done(performance.now())
        })
      })
      resolve({ isOpen: () => open, ended })
    })
    sent.end()
  })
