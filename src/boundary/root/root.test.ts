import assert from 'node:assert/strict'
import { chmod, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { UnknownVersion } from '../bytes.ts'
import { createKeyFile, openKeyFile } from './keyfile.ts'
import { newPassphraseRoot, openPassphraseRoot } from './passphrase.ts'
import { makeRoot, openRoot, parseRootFile, prepareGeneration, withoutOldGenerations } from './rootfile.ts'
import { RootError, type RootOfTrust, Secret } from './types.ts'

let folder = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-root-'))
})
after(() => rm(folder, { recursive: true }))

const code =
  (wanted: string, text = /./) =>
  (error: unknown) =>
    error instanceof RootError && error.code === wanted && text.test(error.message)
const input = { service: 'kms', dev: false, now: 1_700_000_000_000 } as const

test('a key file opens what was made with it, and another one does not', async () => {
  const [mine, other] = [join(folder, 'mine'), join(folder, 'other')]
  await createKeyFile(mine)
  await createKeyFile(other)
  const { bytes, opened } = await makeRoot(await openKeyFile(mine), input)
  const again = await openRoot(await openKeyFile(mine), parseRootFile(bytes))
  assert.deepEqual(again.keyring.key('seal').export(), opened.keyring.key('seal').export())
  assert.equal(again.file.service, 'kms')
  await assert.rejects(openRoot(await openKeyFile(other), parseRootFile(bytes)), code('WrongRoot'))
})

test('a key file that others can read, that is no file, or that is something else is refused with what to do', async () => {
  const path = join(folder, 'open')
  await createKeyFile(path)
  await assert.rejects(createKeyFile(path), code('Refused', /already there/))
  await chmod(path, 0o640)
  await assert.rejects(openKeyFile(path), code('Refused', /chmod 600/))
  await assert.rejects(openKeyFile(folder), code('Refused'))
  await assert.rejects(openKeyFile(join(folder, 'none')), code('Refused', /does not exist/))
  const text = join(folder, 'text')
  await writeFile(text, 'hello\n', { mode: 0o600 })
  await assert.rejects(openKeyFile(text), code('Refused', /is no root key file/))
  const dangling = join(folder, 'dangling')
  await symlink(join(folder, 'target'), dangling)
  await assert.rejects(createKeyFile(dangling), code('Refused'))
})

test('promise 12: no byte of the root file can be changed', async () => {
  const path = join(folder, 'tamper')
  await createKeyFile(path)
  const trust = await openKeyFile(path)
  const { bytes } = await makeRoot(trust, input)
  for (let at = 0; at < bytes.length; at += 3) {
    const changed = Buffer.from(bytes)
    changed[at] = (changed[at] ?? 0) ^ 1
    // The low byte of the version, which becomes a later one.
    const refusal = at === 9 ? UnknownVersion : RootError
    await assert.rejects(async () => openRoot(trust, parseRootFile(changed)), refusal, `byte ${at}`)
  }
  assert.throws(() => parseRootFile(bytes.subarray(0, 50)), code('Damaged'))
})

const start = { createdAt: input.now + 1, firstRecord: 7, firstWriteSet: 3 }

async function keyFile(name: string): Promise<RootOfTrust> {
  const path = join(folder, name)
  await createKeyFile(path)
  return openKeyFile(path)
}

test('a new generation seals, what the old one sealed still opens, and after it was destroyed does not', async () => {
  const trust = await keyFile('generations')
  const first = await makeRoot(trust, input)
  const before = first.opened.keyring.key('seal').export()
  const prepared = await prepareGeneration(first.opened)
  assert.equal(first.opened.keyring.current, 1, 'it is prepared and not in force')
  first.opened.keyring.add(prepared.generation, prepared.root)
  const second = prepared.finish(start)
  const { keyring, file } = await openRoot(trust, parseRootFile(second.bytes))
  assert.deepEqual(keyring.generations, [2, 1])
  assert.deepEqual(keyring.key('seal', 1).export(), before)
  assert.notDeepEqual(keyring.key('seal').export(), before)
  assert.deepEqual(file.generations[1], { ...second.opened.file.generations[1], ...start, generation: 2 })

  const third = withoutOldGenerations(second.opened, input.now + 2, 300)
  second.opened.keyring.forgetOld()
  assert.throws(() => second.opened.keyring.key('seal', 1), RangeError)
  const last = await openRoot(trust, parseRootFile(third.bytes))
  assert.deepEqual(last.keyring.generations, [2])
  assert.deepEqual([last.file.destroyed, last.file.destroyedAt, last.file.wholeAt], [1, input.now + 2, 300])
  assert.deepEqual(last.keyring.key('seal').export(), keyring.key('seal').export())
})

test('another root of trust wraps every generation, the old one opens nothing more, and one that loses what it wrapped is refused', async () => {
  const [old, next] = [await keyFile('old-trust'), await keyFile('next-trust')]
  const { opened } = await makeRoot(old, input)
  const liar: RootOfTrust = { ...next, unwrap: async () => new Secret(Buffer.alloc(32, 1)) }
  await assert.rejects(prepareGeneration(opened, liar), code('WrongRoot'))
  const prepared = await prepareGeneration(opened, next)
  opened.keyring.add(prepared.generation, prepared.root)
  const { bytes } = prepared.finish(start)
  const again = await openRoot(next, parseRootFile(bytes))
  assert.deepEqual(again.keyring.generations, [2, 1])
  assert.deepEqual(again.keyring.key('seal', 1).export(), opened.keyring.key('seal', 1).export())
  await assert.rejects(openRoot(old, parseRootFile(bytes)), code('WrongRoot'))
})

test('a root file of version 1 is refused by its number', async () => {
  const { bytes } = await makeRoot(await keyFile('version'), input)
  bytes.writeUInt16BE(1, 8)
  assert.throws(() => parseRootFile(bytes), code('Damaged', /has version 1, and this program knows version 2/))
})

test('a passphrase opens, a wrong one says so and nothing else, a short one is refused', async () => {
  const { bytes } = await makeRoot(await newPassphraseRoot(Buffer.from('correct horse battery')), input)
  const file = parseRootFile(bytes)
  assert.equal(
    (await openRoot(await openPassphraseRoot(Buffer.from('correct horse battery'), file.parameters), file)).file.kind,
    'passphrase',
  )
  await assert.rejects(
    openRoot(await openPassphraseRoot(Buffer.from('incorrect horse battery'), file.parameters), file),
    code('WrongPassphrase'),
  )
  await assert.rejects(newPassphraseRoot(Buffer.from('short')), code('Refused'))
  await assert.rejects(openPassphraseRoot(Buffer.from('x'), Buffer.alloc(3)), code('Damaged'))
})
