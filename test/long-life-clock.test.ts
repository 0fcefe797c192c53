/**
 * The machine's clock jumps back an hour, and leaps ahead by a day and by a year, under a running service and between two starts: times in the log never go
 * back, nothing is destroyed that the right clock would not have destroyed, the operator is told what to do, and everything is there afterwards.
 */
import assert from 'node:assert/strict'
import { createPublicKey, publicEncrypt, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { verifyFolder } from '../src/log/verify.ts'
import { MovedClock } from './support/clock.ts'
import { readRecords } from './support/journal.ts'
import { ApiClient, type CallOptions, gone, type Kms, StartFailed, startKms } from './support/kms.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const YEAR = 365 * DAY

const folders: string[] = []
const services: Kms[] = []
after(async () => {
  for (const service of services) await service.stop()
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

interface World {
  readonly clock: MovedClock
  readonly data: string
  start(...args: string[]): Promise<Kms>
}

function newWorld(): World {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-clock-'))
  folders.push(folder)
  const clock = new MovedClock(folder)
  const data = join(folder, 'data')
  return {
    clock,
    data,
    start: async (...args) => {
      const kms = await startKms(['--data', data, ...args], clock.env)
      services.push(kms)
      return kms
    },
  }
}

const clientOf = ({ line }: Kms): ApiClient => new ApiClient(line.endpoint, line)
const plain = (text: string): string => Buffer.from(text).toString('base64')

async function refusal(start: Promise<Kms>): Promise<StartFailed> {
  try {
    await start
  } catch (error) {
    assert.ok(error instanceof StartFailed, String(error))
    return error
  }
  throw new Error('it started')
}

/** `log verify` refuses a record that is earlier than the one before. */
async function verified(kms: Kms, data: string): Promise<void> {
  await kms.stop()
  assert.equal((await verifyFolder(join(data, 'boundary'))).bad, undefined)
}

const readiness = async ({ line }: Kms): Promise<string> => (await fetch(`${line.operations}/health/ready`)).text()

test('an hour back under a service: it goes on, the log’s time stands still, and who still has the old time is refused', async () => {
  const { clock, data, start } = newWorld()
  const kms = await start()
  const client = clientOf(kms)
  const { KeyId } = (await client.ok('CreateKey')).KeyMetadata
  const { CiphertextBlob } = await client.ok('Encrypt', { KeyId, Plaintext: plain('kept') })
  const before = readRecords(data).length
  clock.set(-HOUR)
  const now: CallOptions = { signedAt: clock.now }
  // Whose clock is right is five minutes away from one that is wrong.
  assert.equal((await client.call('Encrypt', { KeyId, Plaintext: plain('x') })).status, 400)
  assert.equal((await client.ok('Decrypt', { CiphertextBlob }, { signedAt: clock.now })).Plaintext, plain('kept'))
  await client.ok('DisableKey', { KeyId }, now)
  assert.match(await readiness(kms), /the clock is behind the last record of \S+: set it/)
  const since = readRecords(data).slice(before)
  const told = since.filter(({ record }) => record.keyId !== undefined)
  assert.ok(told.length >= 2)
  for (const { record } of told) assert.ok(Math.abs((record.lifecycleTime ?? 0) - clock.now) < 60_000)
  clock.set(0)
  await client.ok('EnableKey', { KeyId })
  assert.doesNotMatch(await readiness(kms), /the clock is behind/)
  assert.equal((await client.ok('Decrypt', { CiphertextBlob })).Plaintext, plain('kept'))
  await verified(kms, data)
})

test('an hour back at a start: refused by name, and it starts once the clock is right', async () => {
  const { clock, data, start } = newWorld()
  const first = await start()
  const { KeyId } = (await clientOf(first).ok('CreateKey')).KeyMetadata
  const { CiphertextBlob } = await clientOf(first).ok('Encrypt', { KeyId, Plaintext: plain('kept') })
  await first.stop()
  clock.set(-HOUR)
  const { exitCode, stderr } = await refusal(start())
  assert.equal(exitCode, 65)
  assert.match(
    stderr.trimEnd().split('\n').at(-1) ?? '',
    /the clock says \S+, earlier than the last record of \S+: set the clock and start again/,
  )
  clock.set(0)
  const second = await start()
  assert.equal((await clientOf(second).ok('Decrypt', { CiphertextBlob })).Plaintext, plain('kept'))
  await verified(second, data)
})

test('an hour back, and the boundary killed: the service ends with the same words, and nothing is lost', async () => {
  const { clock, data, start } = newWorld()
  const first = await start()
  const { KeyId } = (await clientOf(first).ok('CreateKey')).KeyMetadata
  const ended = new Promise<number | null>(resolve => first.process.once('exit', resolve))
  clock.set(-HOUR)
  process.kill(first.children().boundary, 'SIGKILL')
  assert.equal(await ended, 65)
  assert.match(first.stderr, /the service stops: the clock says .* set the clock and start again/)
  clock.set(0)
  const second = await start()
  assert.equal((await clientOf(second).ok('DescribeKey', { KeyId })).KeyMetadata.KeyState, 'Enabled')
  await verified(second, data)
})

for (const [name, leap] of [
  ['a day', DAY],
  ['a year', YEAR],
] as const) {
  test(`${name} ahead under a service, and back: what would be destroyed by date is there, and a restart is possible`, async () => {
    const { clock, data, start } = newWorld()
    const kms = await start()
    const client = clientOf(kms)
    const { KeyId: doomed } = (await client.ok('CreateKey')).KeyMetadata
    const { CiphertextBlob } = await client.ok('Encrypt', { KeyId: doomed, Plaintext: plain('kept') })
    await client.ok('ScheduleKeyDeletion', { KeyId: doomed, PendingWindowInDays: 7 })
    const { KeyId: imported } = (await client.ok('CreateKey', { Origin: 'EXTERNAL' })).KeyMetadata
    await importInto(client, imported, 2 * HOUR)
    const sealedByIt = (await client.ok('Encrypt', { KeyId: imported, Plaintext: plain('kept too') })).CiphertextBlob
    clock.set(leap)
    // A record of that time, and everything that such a leap makes due looked at.
    const { KeyId: made } = (await client.ok('CreateKey', {}, { signedAt: clock.now })).KeyMetadata
    assert.match(await readiness(kms), /the clock has leapt ahead by more than an hour: set it/)
    const used = await client.call('Decrypt', { CiphertextBlob: sealedByIt }, { signedAt: clock.now })
    assert.equal(used.status, 400, 'what has expired by the clock is not used')
    clock.set(0)
    assert.equal((await client.ok('Decrypt', { CiphertextBlob: sealedByIt })).Plaintext, plain('kept too'))
    await client.ok('CancelKeyDeletion', { KeyId: doomed })
    await client.ok('EnableKey', { KeyId: doomed })
    await kms.stop()
    // The log has a record of the future: without a word of the operator it waits for it.
    const { exitCode, stderr } = await refusal(start())
    assert.equal(exitCode, 65)
    const accept = /start with --accept-clock ([\dT:.Z-]+)/.exec(stderr)?.[1] ?? ''
    assert.notEqual(accept, '')
    const wrong = new Date(Date.parse(accept) + 1).toISOString()
    assert.equal((await refusal(start('--accept-clock', wrong))).exitCode, 65, 'only the time of the last record')
    const again = await start('--accept-clock', accept)
    const after = clientOf(again)
    assert.equal((await after.ok('Decrypt', { CiphertextBlob })).Plaintext, plain('kept'))
    assert.equal((await after.ok('Decrypt', { CiphertextBlob: sealedByIt })).Plaintext, plain('kept too'))
    assert.equal((await after.ok('DescribeKey', { KeyId: made })).KeyMetadata.KeyState, 'Enabled')
    // The supervisor starts it again by itself, with the same word.
    const { boundary } = again.children()
    process.kill(boundary, 'SIGKILL')
    await gone(boundary)
    for (;;) if ((await after.call('Decrypt', { CiphertextBlob })).status === 200) break
    const acts = readRecords(data).filter(({ record }) => record.boundaryOperation === 'acceptClock')
    assert.equal(acts.length, 2)
    for (const { record } of acts) assert.ok(Math.abs((record.lifecycleTime ?? 0) - Date.now()) < 60_000)
    assert.equal(readRecords(data).at(-1)?.time, Date.parse(accept), 'the log keeps the time that it had')
    await verified(again, data)
  })
}

/** Imports material that expires so many milliseconds from now. */
async function importInto(client: ApiClient, KeyId: string, lasts: number): Promise<void> {
  const wrap = { KeyId, WrappingAlgorithm: 'RSAES_OAEP_SHA_256', WrappingKeySpec: 'RSA_2048' }
  const { ImportToken, PublicKey } = await client.ok('GetParametersForImport', wrap)
  const key = createPublicKey({ key: Buffer.from(PublicKey, 'base64'), format: 'der', type: 'spki' })
  const encrypted = publicEncrypt({ key, oaepHash: 'sha256' }, randomBytes(32))
  await client.ok('ImportKeyMaterial', {
    KeyId,
    ImportToken,
    EncryptedKeyMaterial: encrypted.toString('base64'),
    ExpirationModel: 'KEY_MATERIAL_EXPIRES',
    ValidTo: (Date.now() + lasts) / 1000,
  })
}
