#!/usr/bin/env node
// The launcher: a fitting Node, the compile cache on, then the program. Plain JavaScript that also an old Node can read,
// and as little of it as can be, because every run of a task starts here.

if (Number.parseInt(process.versions.node, 10) < 24) {
  const { startWithPinnedNode } = await import('./scripts/setup/pinned-node.js').catch(sayNodeIsTooOld)
  await startWithPinnedNode(process.argv[1], process.argv.slice(2))
} else {
  // Node strips no types below node_modules: the published package carries JavaScript in dist/ instead.
  const installed = import.meta.dirname.includes('/node_modules/')
  const runtime = runtimeFolder(installed ? process.cwd() : import.meta.dirname)
  // Not by import: that of node:fs alone takes 2.5 ms, since it loads all that belongs to fs.promises.
  const { existsSync } = process.getBuiltinModule('node:fs')
  // Whoever needs the folder makes it, with the right mode; the launcher only uses it.
  if (existsSync(runtime)) enableCompileCache(`${runtime}/compile-cache`)
  const program = isSupervisedRun() ? (process.env.BGTASK_RESIDENT_FOLDER ? 'runner/resident' : 'runner/main') : 'cli'
  await import(installed ? `./dist/${program}.js` : `./app/${program}.ts`).catch(sayWhatIsMissing)
}

function runtimeFolder(workFolder) {
  const given = process.env.BGTASK_RUNTIME || 'runtime'
  return given.startsWith('/') ? given : `${workFolder}/${given}`
}

/** Whatever the umask: what lies in the runtime folder is for its owner alone. Of what an action makes, its own umask decides. */
function enableCompileCache(folder) {
  const before = process.umask(0o077)
  process.getBuiltinModule('node:module').enableCompileCache(folder)
  process.umask(before)
}

/** A supervisor gave us a run folder and an action (these have a slash). What that action starts itself may inherit the first, not the second. */
function isSupervisedRun() {
  return Boolean(process.env.BGTASK_RUN_FOLDER || process.env.BGTASK_RESIDENT_FOLDER) && Boolean(process.argv[2]?.includes('/'))
}

/** A checkout whose packages nobody has brought yet. */
function sayWhatIsMissing(error) {
  if (error.code !== 'ERR_MODULE_NOT_FOUND' || process.getBuiltinModule('node:fs').existsSync(`${import.meta.dirname}/node_modules`))
    throw error
  console.error('bgtask: its packages are not here yet. Bring them with: npm start (or npm ci)')
  process.exit(78)
}

/** The published package does not carry scripts/: there the user's own Node has to do. */
function sayNodeIsTooOld() {
  console.error(
    `bgtask: Node >= 24 is needed, and this is Node ${process.versions.node} (${process.execPath}). Install a newer one and try again.`,
  )
  process.exit(78)
}
