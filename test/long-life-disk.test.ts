/**
 * What becomes of a running service when its file system is full or read-only: nothing that was acknowledged is lost, taking power away goes on as long as
 * there is a byte for it, the message says what to do, and once that is done the service goes on by itself.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { type Answer, ApiClient, freePort, gone, type Kms, ROOT, StartFailed, startKmsBy } from './support/kms.ts'
import { SmallDisk } from './support/small-disk.ts'

const MIB = 2 ** 20
/** Above the floor of 64 MiB with the reserve of 8 MiB in it, and room to work. */
const MEGABYTES = 128
const HOLDFAST = join(ROOT, 'bin', 'holdfast')

const disks: SmallDisk[] = []
const services: Kms[] = []
after(async () => {
  for (const service of services) await service.stop()
  for (const disk of disks) await disk.remove()
})

async function newDisk(): Promise<SmallDisk> {
  const disk = await SmallDisk.make(MEGABYTES)
  disks.push(disk)
  return disk
}

async function start(disk: SmallDisk, port = 0): Promise<Kms> {
  const args = ['kms', '--dev', '--port', String(port), '--data', join(disk.folder, 'data')]
  const kms = await startKmsBy(...disk.enter(HOLDFAST, args))
  services.push(kms)
  return kms
}

const clientOf = ({ line }: Kms): ApiClient => new ApiClient(line.endpoint, line)
const plain = (text: string): string => Buffer.from(text).toString('base64')

const health = async ({ line }: Kms): Promise<string> => (await fetch(`${line.operations}/health/ready`)).text()

/** Asks until the answer is of this status. The machine may be busy, and the boundary looks at free space once a second. */
async function until(status: number, kms: Kms, ask: () => Promise<Answer>): Promise<Answer> {
  for (const end = performance.now() + 60_000; ; ) {
    // Nobody listens while a front end is started anew.
    const answer = await ask().catch((error: Error) => error)
    if (!(answer instanceof Error) && answer.status === status) return answer
    if (performance.now() > end) {
      const told = answer instanceof Error ? answer.message : `${answer.status}: ${answer.text}`
      throw new Error(`no answer ${status} in a minute, but ${told}\n${await health(kms)}\n${kms.stderr.slice(-4000)}`)
    }
    await delay(50)
  }
}

async function verifyLog(kms: Kms, disk: SmallDisk): Promise<void> {
  await kms.stop()
  const [command, args] = disk.enter(HOLDFAST, ['log', 'verify', join(disk.folder, 'data')])
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  assert.equal(status, 0, `${stdout}${stderr}`)
}

/** Makes keys, encrypts and disables until a request is not answered as done; keeps what was acknowledged. */
class Worker {
  readonly acknowledged = new Map<string, { state: string; readonly messages: [text: string, message: string][] }>()
  readonly #client: ApiClient
  readonly #name: string

  constructor(kms: Kms, name: string) {
    this.#client = clientOf(kms)
    this.#name = name
  }

  async run(): Promise<Answer> {
    for (let n = 0; ; n++) {
      const made = await this.#client.call('CreateKey')
      if (made.status !== 200) return made
      const KeyId = made.json.KeyMetadata.KeyId
      const key = { state: 'Enabled', messages: [] as [string, string][] }
      this.acknowledged.set(KeyId, key)
      for (let m = 0; m < 5; m++) {
        const text = `${this.#name}.${n}.${m}`
        const encrypted = await this.#client.call('Encrypt', { KeyId, Plaintext: plain(text) })
        if (encrypted.status !== 200) return encrypted
        key.messages.push([text, encrypted.json.CiphertextBlob])
      }
      const disabled = await this.#client.call('DisableKey', { KeyId })
      if (disabled.status !== 200) return disabled
      key.state = 'Disabled'
    }
  }

  /** Everything that was acknowledged is there. */
  async check(client: ApiClient): Promise<void> {
    for (const [KeyId, { state, messages }] of this.acknowledged) {
      const { KeyMetadata } = await client.ok('DescribeKey', { KeyId })
      // The request that was not answered may have been done, or not.
      if (KeyMetadata.KeyState !== state) assert.deepEqual([KeyMetadata.KeyState, messages.length], ['Disabled', 5])
      await client.ok('EnableKey', { KeyId })
      for (const [text, CiphertextBlob] of messages)
        assert.equal((await client.ok('Decrypt', { CiphertextBlob })).Plaintext, plain(text))
    }
  }
}

test('below the floor uses are refused and taking away works; with room again it goes on by itself', async () => {
  const disk = await newDisk()
  const kms = await start(disk)
  const client = clientOf(kms)
  const [one, two, three] = await Promise.all(
    [1, 2, 3].map(async () => (await client.ok('CreateKey')).KeyMetadata.KeyId as string),
  )
  await client.ok('DisableKey', { KeyId: three })
  const { CiphertextBlob } = await client.ok('Encrypt', { KeyId: one, Plaintext: plain('before') })
  disk.fillTo(40 * MIB)
  const encrypt = (): Promise<Answer> => client.call('Encrypt', { KeyId: one, Plaintext: plain('x') })
  const refused = await until(500, kms, encrypt)
  assert.equal(refused.json.__type, 'KMSInternalException')
  const others: [string, object][] = [
    ['Decrypt', { CiphertextBlob }],
    ['GenerateDataKey', { KeyId: one, KeySpec: 'AES_256' }],
    ['CreateKey', {}],
    ['EnableKey', { KeyId: three }],
  ]
  for (const [operation, input] of others)
    assert.equal((await client.call(operation, input)).status, 500, `${operation} below the floor`)
  assert.match(await health(kms), /free space is below the floor/)
  await client.ok('DisableKey', { KeyId: two })
  await client.ok('ScheduleKeyDeletion', { KeyId: three, PendingWindowInDays: 7 })
  disk.empty()
  await until(200, kms, encrypt)
  assert.equal((await client.ok('Decrypt', { CiphertextBlob })).Plaintext, plain('before'))
  assert.equal((await client.ok('DescribeKey', { KeyId: two })).KeyMetadata.KeyState, 'Disabled')
  assert.equal((await client.ok('DescribeKey', { KeyId: three })).KeyMetadata.KeyState, 'PendingDeletion')
  await verifyLog(kms, disk)
})

test('promise 4: not a byte left at once, under load: nothing acknowledged is lost, and it goes on by itself', async () => {
  const disk = await newDisk()
  const kms = await start(disk)
  const client = clientOf(kms)
  for (let round = 0; round < 3; round++) {
    const workers = Array.from({ length: 6 }, (_, n) => new Worker(kms, `${round}.${n}`))
    const ended = Promise.all(workers.map(worker => worker.run()))
    while (workers.some(worker => worker.acknowledged.size < 3)) await delay(5)
    disk.fillTo(0)
    for (const { status } of await ended) assert.equal(status, 500)
    // The reserve is given back first: what takes power away still has room, although others took all of the rest.
    const [KeyId] = workers[0]?.acknowledged.keys() ?? []
    await until(200, kms, () => client.call('DisableKey', { KeyId }))
    disk.fillTo(0)
    disk.empty()
    await until(200, kms, () => client.call('CreateKey'))
    for (const worker of workers) await worker.check(client)
  }
  await verifyLog(kms, disk)
})

test('a store that cannot be written: its front end says so, the next opens it anew, and nothing is missing', async () => {
  const disk = await newDisk()
  const kms = await start(disk, await freePort())
  const client = clientOf(kms)
  const { KeyId: before } = (await client.ok('CreateKey')).KeyMetadata
  const { frontEnd } = kms.children()
  // What the disk does to a file that cannot grow: the kernel answers its writer with an error that is not "full".
  const limited = spawnSync('prlimit', ['--pid', String(frontEnd), '--fsize=4096'], { encoding: 'utf8' })
  assert.equal(limited.status, 0, limited.stderr)
  assert.equal((await client.call('CreateKey')).status, 500)
  await gone(frontEnd)
  assert.match(kms.stderr, /"msg":"this process ends, and the next opens the store anew"/)
  const made = await until(200, kms, () => client.call('CreateKey'))
  const keys = (await client.ok('ListKeys')).Keys.map(({ KeyId }: { KeyId: string }) => KeyId)
  // That which the store did not take is a key all the same: the boundary has it.
  assert.equal(keys.length, 3)
  assert.ok(keys.includes(before) && keys.includes(made.json.KeyMetadata.KeyId))
  await verifyLog(kms, disk)
})

test('a read-only file system: the start says so and what to do, and once it is mounted for writing all is there', async () => {
  const disk = await newDisk()
  const first = await start(disk)
  const client = clientOf(first)
  const { KeyId } = (await client.ok('CreateKey')).KeyMetadata
  const { CiphertextBlob } = await client.ok('Encrypt', { KeyId, Plaintext: plain('kept') })
  await first.stop()
  await disk.remount('ro')
  await assert.rejects(start(disk), (error: unknown) => {
    assert.ok(error instanceof StartFailed)
    assert.equal(error.exitCode, 74)
    const told = error.stderr.trimEnd().split('\n').at(-1)
    assert.match(
      told ?? '',
      /^holdfast kms: the file system of \S+\/data\/boundary is read-only: .*mount it for writing/,
    )
    return true
  })
  await disk.remount('rw')
  const second = await start(disk)
  assert.equal((await clientOf(second).ok('Decrypt', { CiphertextBlob })).Plaintext, plain('kept'))
  await verifyLog(second, disk)
})

test('a file system that becomes read-only under a service: its processes say so as often as they start, and go on once it is not', async () => {
  const disk = await newDisk()
  const kms = await start(disk)
  const { KeyId } = (await clientOf(kms).ok('CreateKey')).KeyMetadata
  const { CiphertextBlob } = await clientOf(kms).ok('Encrypt', { KeyId, Plaintext: plain('kept') })
  // The kernel lets nobody take writing away from a file that is open for it, so the processes end first, and their supervisor looks away meanwhile.
  const { frontEnd, boundary } = kms.children()
  kms.process.kill('SIGSTOP')
  for (const pid of [frontEnd, boundary]) process.kill(pid, 'SIGKILL')
  await Promise.all([gone(frontEnd), gone(boundary)])
  await disk.remount('ro').finally(() => kms.process.kill('SIGCONT'))
  const told = /"name":"boundary","pid":\d+,"msg":"the file system of \S+ is read-only: find out why/g
  while ((kms.stderr.match(told) ?? []).length < 2) await delay(20)
  await disk.remount('rw')
  while (!kms.stderr.slice(kms.stderr.lastIndexOf('is read-only')).includes('the boundary answers')) await delay(20)
  assert.equal(kms.process.exitCode, null)
  await kms.stop()
  const again = await start(disk)
  assert.equal((await clientOf(again).ok('Decrypt', { CiphertextBlob })).Plaintext, plain('kept'))
  await verifyLog(again, disk)
})
