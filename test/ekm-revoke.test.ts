/**
 * Promise 3 at the owner's side, with the real processes and the real command: `holdfast ekm revoke` while clients use the keys without pause, with the
 * front end alive, killed, stopped and hostile, and with the boundary killed as soon as it has answered.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { RevokeTarget } from '../src/boundary/client/api.ts'
import { connectControl } from '../src/boundary/client/control.ts'
import { connectUse } from '../src/boundary/client/use.ts'
import { BoundaryError } from '../src/boundary/words.ts'
import { type Ekm, holdfast, startEkm } from './support/ekm.ts'
import { answered, refused } from './support/xks-behaviours.ts'
import { decryptBody, encryptBody, SignerClient, type XksAnswer } from './support/xks-clients.ts'

const PREFIX = 'acme'
const KEY = `${PREFIX}/vault`
const TARGETS: readonly (readonly string[])[] = [[KEY], ['--tenant', PREFIX], ['--all']]
const CLIENTS = 8
const CREDENTIAL = 'BETWEEN2TENAND3TENCHARACTERS'
/** What can be revoked beside keys: whoever asks. */
const CALLERS: readonly (readonly string[])[] = [
  ['--protocol', 'xks'],
  ['--principal', CREDENTIAL],
]
/** Uses that must have started before the act, and after it. */
const BEFORE = 50
const AFTERWARDS = 200
const PLAINTEXT = Buffer.from('a blob of the provider')

let ekm: Ekm
let client: SignerClient
let made: XksAnswer

before(async () => {
  ekm = await startEkm(['--dev', '--prefix', PREFIX, '--key', 'vault', '--key', 'other'], {
    HOLDFAST_DEV_ACCESS_KEY_ID: CREDENTIAL,
    HOLDFAST_DEV_SECRET_ACCESS_KEY: 'PleaseReplaceThisWithSomeSecretOfLength43To64',
  })
  client = new SignerClient(ekm.line)
  made = answered(await encrypt())
})
after(async () => {
  client?.close()
  assert.equal(await ekm?.stop(), 0)
})

const encrypt = (by = client) => by.send({ path: 'keys/vault/encrypt', body: encryptBody(PLAINTEXT) })
const decrypt = (by = client) => by.send({ path: 'keys/vault/decrypt', body: decryptBody(made) })
const opens = async () => assert.equal(answered(await decrypt()).json.plaintext, PLAINTEXT.toString('base64'))
const closed = async () => {
  refused(await decrypt(), 'InvalidStateException')
  refused(await encrypt(), 'InvalidStateException')
}

/** Waits for a front end that serves, which is not the process `old`. */
async function serving(old: number): Promise<void> {
  for (;;) {
    const { frontEnd } = ekm.children()
    const status =
      frontEnd === 0 || frontEnd === old
        ? 0
        : await decrypt().then(
            answer => answer.status,
            () => 0,
          )
    if (status !== 0 && status < 500) return
    await delay(20)
  }
}

/** Uses the key without pause, has `act` done meanwhile, and goes on until enough uses have started after that. */
async function hammer(act: () => Promise<unknown>): Promise<void> {
  let succeeded = 0
  let done = false
  let afterwards = 0
  const late: string[] = []
  const work = async (n: number): Promise<void> => {
    const own = new SignerClient(ekm.line)
    for (let i = n; afterwards < AFTERWARDS; i++) {
      const startedAfter = done
      if (startedAfter) afterwards++
      const answer = await (i % 2 === 0 ? decrypt(own) : encrypt(own))
      if (answer.status === 200) {
        succeeded++
        if (startedAfter) late.push(answer.text)
      } else refused(answer, 'InvalidStateException')
    }
    own.close()
  }
  const working = Promise.all(Array.from({ length: CLIENTS }, (_, n) => work(n)))
  while (succeeded < BEFORE) await Promise.race([working, new Promise(next => setImmediate(next))])
  await act()
  done = true
  await working
  assert.deepEqual(late, [], 'started after the answer, and succeeded')
}

for (const target of [...TARGETS, ...CALLERS]) {
  test(`promise 3: under load, no use that starts after holdfast ekm revoke ${target.join(' ')} has ended succeeds`, async () => {
    await hammer(() => ekm.cli('revoke', ...target))
    await closed()
    await ekm.cli('restore', ...target)
    await opens()
  })

  test(`promise 3: front end killed, revoke ${target.join(' ')}: the next front end serves nobody`, async () => {
    const { frontEnd } = ekm.children()
    // The supervisor is stopped, so that there is no front end when the command runs.
    ekm.process.kill('SIGSTOP')
    process.kill(frontEnd, 'SIGKILL')
    await ekm.cli('revoke', ...target)
    ekm.process.kill('SIGCONT')
    await serving(frontEnd)
    await closed()
    await ekm.cli('restore', ...target)
    await opens()
  })

  test(`promise 3: front end stopped, revoke ${target.join(' ')}: what it holds and what it gets is refused when it goes on`, async () => {
    const { frontEnd } = ekm.children()
    process.kill(frontEnd, 'SIGSTOP')
    await ekm.cli('revoke', ...target)
    const sent = [decrypt(), encrypt(), decrypt()]
    process.kill(frontEnd, 'SIGCONT')
    // It was cut off from its boundary meanwhile: 503 until it has fetched what it lacks.
    for (const answer of await Promise.all(sent)) assert.notEqual(answer.status, 200, answer.text)
    await serving(0)
    await closed()
    await ekm.cli('restore', ...target)
    await serving(0)
    await opens()
  })

  test(`promise 4: boundary killed as soon as revoke ${target.join(' ')} has answered: it is revoked after the restart`, async () => {
    const { boundary } = ekm.children()
    const control = connectControl({ socket: join(ekm.data, 'boundary', 'control.sock') })
    const [flag = '', name = ''] = target
    const kinds: Readonly<Record<string, RevokeTarget>> = {
      '--all': { all: true },
      '--tenant': { tenant: name },
      '--protocol': { protocol: name },
      '--principal': { principal: name },
    }
    await control.revoke(kinds[flag] ?? { key: KEY }, {})
    process.kill(boundary, 'SIGKILL')
    control.close()
    while (ekm.children().boundary === boundary) await delay(10)
    await serving(0)
    await closed()
    await ekm.cli('restore', ...target)
    await opens()
  })
}

test('promise 3: a hostile front end that kept the row and asks the boundary itself is refused too', async () => {
  const control = connectControl({ socket: join(ekm.data, 'boundary', 'control.sock') })
  const row = await control.getRow('key', KEY)
  assert.ok(row?.kind === 'key')
  const connected = Promise.withResolvers<void>()
  const use = connectUse({
    socket: join(ekm.data, 'boundary', 'use.sock'),
    onWriteSet: async () => {},
    onState: state => {
      if (state.kind !== 'disconnected') connected.resolve()
    },
  })
  await connected.promise
  const field = (name: string) => Buffer.from(made.json[name] ?? '', 'base64')
  const ciphertext = {
    ciphertext: field('ciphertext'),
    iv: field('initializationVector'),
    tag: field('authenticationTag'),
    metadata: field('ciphertextMetadata'),
    integrityValue: undefined,
  }
  const open = () =>
    use.externalDecrypt(row as Parameters<typeof use.externalDecrypt>[0], ciphertext, Buffer.alloc(0), {})
  assert.deepEqual(await open(), PLAINTEXT)
  for (const target of TARGETS) {
    await ekm.cli('revoke', ...target)
    await assert.rejects(open(), (error: unknown) => error instanceof BoundaryError && error.code !== 'Unavailable')
    await ekm.cli('restore', ...target)
  }
  use.close()
  control.close()
})

test('revoking twice is revoking; each kind of restore undoes its own kind, and says that one person did it', async () => {
  for (const target of TARGETS) await ekm.cli('revoke', ...target)
  await ekm.cli('revoke', KEY)
  for (const target of TARGETS.slice(0, 2)) {
    await ekm.cli('restore', ...target)
    await closed()
  }
  const restored = await holdfast(['ekm', 'restore', '--all', '--data', ekm.data])
  assert.equal(restored.code, 0, restored.stderr)
  assert.match(restored.stdout, /Restored: all keys/)
  assert.match(restored.stderr, /One person/)
  await opens()
})

test('a revoked tenant’s later keys are revoked too, and another tenant is not touched', async () => {
  await ekm.cli('tenant', 'create', 'globex')
  await ekm.cli('key', 'create', 'vault', '--tenant', 'globex')
  const theirs = await ekm.cli<{ accessKeyId: string; secretAccessKey: string }>(
    'credential',
    'create',
    '--tenant',
    'globex',
  )
  const globex = new SignerClient({ ...ekm.line, ...theirs, pathPrefix: 'globex' })
  await ekm.cli('revoke', '--tenant', PREFIX)
  await ekm.cli('key', 'create', 'later', '--tenant', PREFIX)
  refused(await client.send({ path: 'keys/later/encrypt', body: encryptBody(PLAINTEXT) }), 'InvalidStateException')
  answered(await encrypt(globex))
  await ekm.cli('restore', '--tenant', PREFIX)
  answered(await client.send({ path: 'keys/later/encrypt', body: encryptBody(PLAINTEXT) }))
  globex.close()
})
