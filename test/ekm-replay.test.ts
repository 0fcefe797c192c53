/**
 * A request that comes twice, to the real service over HTTP: its front end is a process of its own whose clocks alone are the test's, so that the two
 * seconds pass without waiting.
 */
import assert from 'node:assert/strict'
import { closeSync, mkdtempSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { connectControl } from '../src/boundary/client/control.ts'
import { type Service, startService } from '../src/boundary/supervisor/supervisor.ts'
import { boundarySettings } from '../src/config/boundary.ts'
import { ekmConfig } from '../src/config/ekm.ts'
import { serviceFolders } from '../src/config/folders.ts'
import { parseConfig } from '../src/config/load.ts'
import { createCredential, createKey, createTenant } from '../src/ekm/admin/index.ts'
import { PATIENT } from './support/ekm.ts'
import { freePort } from './support/kms.ts'
import type { Clock } from './support/moved-ekm.ts'
import { answered, refused } from './support/xks-behaviours.ts'
import { decryptBody, encryptBody, type Prepared, SignerClient, type XksAnswer } from './support/xks-clients.ts'

const TENANT = 'acme'
const START = 1_000_000
const PLAINTEXT = Buffer.from('what is asked for twice')
const folder = mkdtempSync(join(tmpdir(), 'holdfast-replay-'))
const clockFile = join(folder, 'clock.json')

let stderr: number
let service: Service
let client: SignerClient
let operations: string
let clock: Clock = { monotonic: START, wallOffset: 0 }

/** Moves the clocks of the front end: the monotonic one, and the wall clock with it unless told otherwise. */
function pass(monotonic: number, wall = monotonic): void {
  clock = { monotonic: clock.monotonic + monotonic, wallOffset: clock.wallOffset + wall }
  // In one step: the front end must never read half of it.
  writeFileSync(`${clockFile}.new`, JSON.stringify(clock))
  renameSync(`${clockFile}.new`, clockFile)
}

before(async () => {
  pass(0)
  stderr = openSync(join(folder, 'stderr.log'), 'a', 0o600)
  const data = join(folder, 'data')
  const config = parseConfig(ekmConfig, {
    data,
    listen: { port: await freePort() },
    load: PATIENT,
    boundary: { root: { kind: 'keyfile', file: join(folder, 'root.key') } },
  })
  const folders = serviceFolders(data)
  service = startService({
    stderr,
    boundary: boundarySettings('ekm', config, false),
    frontEnd: {
      entry: join(import.meta.dirname, 'support', 'moved-ekm.ts'),
      config,
      folders: [folders.frontEnd],
      env: { ...process.env, HOLDFAST_TEST_CLOCK: clockFile },
    },
  })
  const line = await service.ready
  operations = String(line.operations)
  const control = connectControl({ socket: join(folders.boundary, 'control.sock') })
  await createTenant(control, TENANT)
  await createKey(control, { tenant: TENANT, keyId: 'vault', usage: 'both', backing: 'software' })
  const made = await createCredential(control, TENANT)
  control.close()
  client = new SignerClient({
    endpoint: String(line.endpoint),
    pathPrefix: TENANT,
    accessKeyId: made.accessKeyId,
    secretAccessKey: made.secretAccessKey.reveal(bytes => bytes.toString('latin1')),
    caFile: null,
  })
})
after(async () => {
  client?.close()
  await service?.stop()
  closeSync(stderr)
  rmSync(folder, { recursive: true, force: true })
})

/** Signed at what the service's wall clock shows. */
const signingDate = () => new Date(Date.now() + clock.wallOffset)
const prepared = (path: string, body: object): Promise<Prepared> =>
  client.prepare({ path, body, signingDate: signingDate() })
const encrypt = () => prepared('keys/vault/encrypt', encryptBody(PLAINTEXT))
const send = (request: Prepared) => client.sendPrepared(request)
/** The same bytes over a connection of their own, from another address of this machine. */
const from = (address: string, { options, body }: Prepared) =>
  client.sendPrepared({ options: { ...options, agent: false, localAddress: address }, body })
const replayed = (answer: XksAnswer): void => {
  refused(answer, 'AuthenticationFailedException')
  assert.match(answer.json.errorMessage ?? '', /answered before/)
}

test('a byte-identical request is answered once more, up to two seconds after the first; the third is refused', async () => {
  const made = answered(await send(await encrypt()))
  const request = await prepared('keys/vault/decrypt', decryptBody(made))
  for (const wait of [0, 2000]) {
    pass(wait)
    assert.equal(answered(await send(request)).json.plaintext, PLAINTEXT.toString('base64'))
  }
  replayed(await send(request))
})

test('more than two seconds after the first it is refused, and stays refused until its date is too old anyway', async () => {
  const request = await encrypt()
  answered(await send(request))
  pass(2001)
  replayed(await send(request))
  for (let minute = 0; minute < 4; minute++) {
    pass(60_000)
    replayed(await send(request))
  }
  pass(60_000)
  const late = await send(request)
  refused(late, 'AuthenticationFailedException')
  assert.match(late.json.errorMessage ?? '', /five minutes/)
})

test('the repetition belongs to the peer that sent it first: another is refused at once, and does not use it up', async () => {
  const request = await encrypt()
  answered(await from('127.0.0.1', request))
  replayed(await from('127.0.0.2', request))
  answered(await from('127.0.0.1', request))
  replayed(await from('127.0.0.1', request))
})

test('one byte of difference is another request: the same body signed a second later, or for another path', async () => {
  const body = encryptBody(PLAINTEXT)
  const first = await prepared('keys/vault/encrypt', body)
  answered(await send(first))
  answered(await send(first))
  replayed(await send(first))
  pass(1000)
  answered(await send(await prepared('keys/vault/encrypt', body)))
  const moved = { ...first, options: { ...first.options, path: `/${TENANT}/kms/xks/v1/keys/vault/metadata` } }
  const answer = await send(moved)
  refused(answer, 'AuthenticationFailedException')
  assert.match(answer.json.errorMessage ?? '', /signature does not match/)
})

test('replays are counted for the operator, by reason', async () => {
  const metrics = await (await fetch(`${operations}/metrics`)).text()
  const [, count] = /holdfast_refused_total\{listener="xks",reason="Replayed",service="ekm"\} (\d+)/.exec(metrics) ?? []
  assert.equal(count, '9')
})

/** Kills the front end, and waits until another one answers. */
async function restarted(): Promise<void> {
  const before = service.pids().frontEnd
  assert.ok(before)
  process.kill(before, 'SIGKILL')
  for (; ; await delay(20)) {
    const { frontEnd } = service.pids()
    if (frontEnd === undefined || frontEnd === before) continue
    const answer = await encrypt()
      .then(send)
      .catch(() => undefined)
    if (answer?.status === 200) return
  }
}

test('a front end that started anew answers nothing that was signed before: neither what was answered nor what was kept back', async () => {
  const sent = await encrypt()
  const keptBack = await encrypt()
  answered(await send(sent))
  pass(1000)
  await restarted()
  for (const request of [sent, keptBack, sent]) refused(await send(request), 'ThrottlingException')
  answered(await send(await encrypt()))
})

// The last one: after it every date up to the minute that was forgotten is refused.
test('the two seconds are of the monotonic clock, and a wall clock that is set back brings nothing to life', async () => {
  const request = await encrypt()
  answered(await send(request))
  pass(1000, 120_000)
  answered(await send(request))
  const other = await encrypt()
  answered(await send(other))
  pass(600_000, 600_000)
  answered(await send(await encrypt()))
  pass(10, -600_000)
  replayed(await send(other))
  replayed(await send(request))
})
