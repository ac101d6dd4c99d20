import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readOutput } from '../../app/runs/read-output.ts'
import { runtimePaths } from '../../app/runs/runtime-folder.ts'
import { makeScene } from '../helpers/scene.ts'
import { mariadbMissing } from '../helpers/tools.ts'
import { dialects } from '../store/dialects.ts'

for (const dialect of dialects) {
  test(`the deploy button of the demo, on ${dialect.name}`, {
    timeout: 60_000,
    skip: dialect.name === 'MariaDB' && mariadbMissing(),
  }, async t => {
    const scene = await makeScene(t, dialect.name === 'SQLite' ? {} : { databaseUrl: await dialect.newUrl() })
    const supervising = await scene.supervise()
    const args = { environment: 'staging', revision: 'a1b2c3d' }
    const [real, dry] = [
      await scene.background.sendCommand('deploy', args, { creator: 'kim' }),
      await scene.background.sendCommand('deploy', { ...args, dryRun: true }),
    ]
    assert.equal((await scene.untilState(real.id, ['succeeded', 'failed'])).state, 'succeeded')
    assert.equal((await scene.untilState(dry.id, ['succeeded', 'failed'])).state, 'succeeded')
    const outputOf = (id: number) => readOutput(runtimePaths(scene.runtime).run(`${id}-1`).folder).text
    assert.match(
      outputOf(real.id),
      /deploy\.sh --environment=staging a1b2c3d\ndeploying a1b2c3d to staging\n.*switching staging to a1b2c3d\ndone\n$/s,
    )
    assert.match(outputOf(dry.id), /deploy\.sh --environment=staging --dry-run a1b2c3d\n.*dry run: staging stays as it is\n$/s)
    await assert.rejects(scene.background.sendCommand('deploy', { ...args, environment: 'prod' }), {
      code: 'refused',
      message: /allowed are staging, production/,
    })
    await assert.rejects(scene.background.addTask('core/command', { name: 'deploy', args: { ...args, revision: '; rm -rf /' } }), {
      code: 'refused',
    })
    await assert.rejects(scene.background.addTask('core/command', { name: 'deploy', args }, 'FOREVER'), {
      code: 'refused',
      message: /cannot be kept up as a loop/,
    })
    await assert.rejects(scene.background.sendCommand('echo "hello world"'), { code: 'not-found', message: /There is no command/ })
    await supervising.stop()
  })
}
