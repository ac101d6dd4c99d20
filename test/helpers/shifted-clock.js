// Loaded before a process of a test begins (--import): its wall clock is off by as many milliseconds as a file says, from one moment to the next. The
// monotonic clock and timers go on as they are, as on a machine whose clock is set.
import { readFileSync } from 'node:fs'

const real = Date.now
Date.now = () => real() + Number(readFileSync(process.env.BGTASK_TEST_CLOCK, 'utf8') || 0)
