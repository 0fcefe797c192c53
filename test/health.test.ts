/** `holdfast health` against a service that is ready, one whose boundary is away, and none. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { holdfast } from './support/ekm.ts'
import { gone, type Kms, startKms } from './support/kms.ts'

let kms: Kms
before(async () => {
  kms = await startKms()
})
after(() => kms.stop())

test('ready, live and the boundary: exit code 0', async () => {
  const { operations, data } = kms.line
  const ready = await holdfast(['health', '--url', operations])
  assert.equal(ready.code, 0, ready.stderr)
  assert.equal(JSON.parse(ready.stdout).ready, true)
  const live = await holdfast(['health', '--url', operations, '--live'])
  assert.deepEqual([live.code, live.stdout], [0, 'live\n'])
  const boundary = await holdfast(['health', '--data', data, '--json'])
  assert.equal(boundary.code, 0, boundary.stderr)
  assert.deepEqual(Object.keys(JSON.parse(boundary.stdout)), ['ready', 'text'])
})

test('no boundary: the front end is not ready, and lives', async () => {
  const { operations, data } = kms.line
  const { boundary } = kms.children()
  process.kill(boundary, 'SIGSTOP')
  try {
    const ready = await holdfast(['health', '--data', data])
    assert.equal(ready.code, 1)
    assert.match(ready.stderr, /did not answer within 5 seconds/)
    assert.equal((await holdfast(['health', '--url', operations, '--live'])).code, 0)
  } finally {
    process.kill(boundary, 'SIGCONT')
  }
})

test('nobody there: exit code 1, with the reason', async () => {
  const { operations, data } = kms.line
  const { frontEnd, boundary } = kms.children()
  await kms.stop()
  await gone(frontEnd)
  await gone(boundary)
  const ready = await holdfast(['health', '--url', operations])
  assert.equal(ready.code, 1)
  assert.match(ready.stderr, /no answer from http:\/\/127\.0\.0\.1:\d+: .*ECONNREFUSED/)
  const status = await holdfast(['health', '--data', data])
  assert.equal(status.code, 1)
  assert.match(status.stderr, /no boundary answers on/)
})

test('wrong use', async () => {
  for (const args of [
    [],
    ['--url', 'http://10.0.0.1:80'],
    ['--data', '/x', '--live'],
    ['--data', '/x', '--url', 'http://127.0.0.1:1'],
  ]) {
    const { code, stderr } = await holdfast(['health', ...args])
    assert.equal(code, 1)
    assert.match(stderr, /error|give|--live goes with/)
  }
})
