import assert from 'node:assert/strict'
import fs from 'node:fs'
import net from 'node:net'
import { after, before, test } from 'node:test'
import type { EncryptionContext, KeyRow } from '../client/api.ts'
import type { ControlConnection } from '../client/control.ts'
import { connectUse, type UseConnection } from '../client/use.ts'
import { wrapForImport } from '../crypto/import-token.ts'
import type { BoundaryError, WriteSet } from '../words.ts'
import { VERSION } from './boundary.ts'
import { fails, headerOfRow as header, type InProcess, inProcess, keyId, newKey } from './testing/in-process.ts'

let boundary: InProcess
let use: UseConnection
let control: ControlConnection
let sets: WriteSet[]

before(async () => {
  boundary = await inProcess()
  ;({ use, control, sets } = boundary)
})
after(async () => {
  await boundary.stop()
  boundary.remove()
})
const create = (more: object = {}) => newKey(use, more)

test('a key is made, used, and its write set handled before the answer', async () => {
  const key = await create()
  assert.equal(sets.at(-1)?.rows.length, 2)
  assert.equal(header(key).state, 'Enabled')
  const plaintext = Buffer.from('attack at dawn')
  const { ciphertext, materialId } = await use.encrypt(key, plaintext, [['a', 'b']], { operation: 'Encrypt' })
  assert.equal(materialId, header(key).materials[0]?.id)
  const opened = await use.decrypt(key, ciphertext, [['a', 'b']], { operation: 'Decrypt' })
  assert.deepEqual(opened, { plaintext, materialId })
  await assert.rejects(use.decrypt(key, ciphertext, [['a', 'c']], {}), fails('InvalidCiphertext'))
})

test('promise 12: what is not exactly the newest row is refused', async () => {
  const first = await create()
  const message = (await use.encrypt(first, Buffer.from('x'), [], {})).ciphertext
  const disabled = await use.disableKey(first.id, {})
  await assert.rejects(use.decrypt(first, message, [], {}), error => {
    fails('StaleKey')(error)
    assert.deepEqual((error as BoundaryError).row, disabled)
    return true
  })
  await assert.rejects(use.decrypt(disabled, message, [], {}), fails('KeyDisabled'))
  const enabled = await use.enableKey(first.id, {})
  const edited = { ...enabled, body: Buffer.from(enabled.body ?? '') }
  edited.body.writeUInt8(edited.body.readUInt8(40) ^ 1, 40)
  await assert.rejects(use.decrypt(edited, message, [], {}), fails('StaleKey'))
  assert.equal((await use.decrypt(enabled, message, [], {})).plaintext.toString(), 'x')
  const [current, old, never] = await use.checkRows([enabled, first, { ...enabled, id: 'eu-north-1/none' }])
  assert.equal(current, 'ok')
  assert.deepEqual(old, enabled)
  assert.equal(never, undefined)
})

const side = (key: KeyRow, context: EncryptionContext = []) => ({
  key,
  algorithm: 'SYMMETRIC_DEFAULT' as const,
  context,
})

test('reEncrypt and generateDataKey', async () => {
  const [a, b] = await Promise.all([create(), create()])
  const made = await use.generateDataKey(a, 32, true, [], {})
  const hidden = await use.generateDataKey(a, 16, false, [], {})
  assert.equal(hidden.plaintext, undefined)
  assert.deepEqual((await use.decrypt(a, made.ciphertext, [], {})).plaintext, made.plaintext)
  const moved = await use.reEncrypt(side(a), made.ciphertext, side(b, [['to', 'b']]), {})
  assert.deepEqual((await use.decrypt(b, moved.ciphertext, [['to', 'b']], {})).plaintext, made.plaintext)
  await assert.rejects(use.decrypt(a, moved.ciphertext, [['to', 'b']], {}), fails('InvalidCiphertext'))
  assert.equal((await use.generateRandom(100, {})).length, 100)
  await assert.rejects(use.generateRandom(0, {}), fails('InvalidRequest'))
})

test('rows are written in compare-and-set, and only from their socket', async () => {
  const key = await create()
  const alias = { kind: 'alias', id: `111122223333/eu-north-1/alias/one`, scope: key.scope, link: key.id } as const
  const [made] = await use.putRows([{ ...alias, expected: 0, body: Buffer.from('1') }], {})
  assert.equal(made?.revision, 1)
  await assert.rejects(use.putRows([{ ...alias, expected: 0, body: Buffer.from('2') }], {}), fails('Conflict'))
  await assert.rejects(
    use.putRows([{ ...alias, id: 'other', link: 'eu-north-1/none', expected: 0, body: Buffer.from('2') }], {}),
    fails('InvalidState'),
  )
  const [gone] = await use.putRows([{ ...alias, expected: 1, body: null }], {})
  assert.equal(gone?.revision, 2)
  assert.equal(gone?.body, null)
  const [again] = await use.putRows([{ ...alias, expected: 0, body: Buffer.from('3') }], {})
  assert.equal(again?.revision, 3)
  const principal = {
    kind: 'principal',
    id: 'arn:x',
    scope: '1',
    link: '',
    expected: 0,
    body: Buffer.from('p'),
  } as const
  await assert.rejects(use.putRows([principal], {}), fails('NotPermitted'))
  await assert.rejects(use.putRows([{ ...principal, kind: 'key' }], {}), fails('NotPermitted'))
  const [row] = await control.putRows([principal], {})
  assert.deepEqual(await control.getRow('principal', 'arn:x'), row)
  assert.deepEqual(await control.listRows('principal', '', 10), [row])
  assert.equal(sets.at(-1)?.rows[0]?.id, 'arn:x', 'the front end has it when the administrator is answered')
  await assert.rejects(control.putRows([{ ...alias, expected: 3, body: null }], {}), fails('NotPermitted'))
})

test('secrets are opened only when they are current', async () => {
  const secret = { kind: 'credential', id: 'AKIA', scope: '1', link: 'arn:x', expected: 0 } as const
  const [row] = await control.putRows([{ ...secret, body: Buffer.from('s3cret') }], {})
  assert.ok(row?.body)
  assert.ok(!row.body.includes('s3cret'))
  assert.equal((await use.openSecret(row)).toString(), 's3cret')
  const [newer] = await control.putRows([{ ...secret, expected: 1, body: Buffer.from('other') }], {})
  await assert.rejects(use.openSecret(row), error => {
    fails('StaleKey')(error)
    assert.deepEqual((error as BoundaryError).row, newer)
    return true
  })
})

const DAY = 86_400_000

test('a key whose waiting period has ended is destroyed with its policy, attributes and aliases', async () => {
  const id = keyId(0xdead)
  const scope = '111122223333/eu-north-1'
  const alias = `${scope}/alias/doomed`
  const rows = [
    { kind: 'attributes', id, scope, link: '', expected: 0, body: Buffer.from('a') },
    { kind: 'alias', id: alias, scope, link: id, expected: 0, body: Buffer.from('b') },
  ]
  const key = await create({ id, rows })
  assert.equal(sets.at(-1)?.rows.length, 4)
  const message = (await use.encrypt(key, Buffer.from('x'), [], {})).ciphertext
  await assert.rejects(use.scheduleKeyDeletion(id, 6, {}), fails('InvalidRequest'))
  const pending = await use.scheduleKeyDeletion(id, 7, {})
  assert.equal(header(pending).state, 'PendingDeletion')
  await assert.rejects(use.encrypt(pending, Buffer.from('x'), [], {}), fails('KeyPendingDeletion'))
  await assert.rejects(use.enableKey(id, {}), fails('KeyPendingDeletion'))
  const cancelled = await use.cancelKeyDeletion(id, {})
  assert.equal(header(cancelled).state, 'Disabled')
  await use.scheduleKeyDeletion(id, 7, {})
  await control.advanceClock(7 * DAY + 1)
  const gone = sets.at(-1)?.rows ?? []
  assert.deepEqual(gone.map(row => [row.kind, row.id, row.body]).sort(), [
    ['alias', alias, null],
    ['attributes', id, null],
    ['key', id, null],
    ['policy', id, null],
  ])
  await assert.rejects(use.decrypt(key, message, [], {}), fails('KeyGone'))
  await assert.rejects(use.enableKey(id, {}), fails('KeyGone'))
  await assert.rejects(create({ id }), fails('AlreadyExists'))
})

test('rotation, automatic and on demand', async () => {
  const key = await create()
  const old = (await use.encrypt(key, Buffer.from('old'), [], {})).ciphertext
  await assert.rejects(use.setKeyRotation(key.id, true, 10, {}), fails('InvalidRequest'))
  await use.setKeyRotation(key.id, true, 90, {})
  await control.advanceClock(90 * DAY + 1)
  const rotated = (await control.getRow('key', key.id)) as KeyRow
  assert.deepEqual(
    header(rotated).materials.map(each => [each.state, each.rotationType]),
    [
      ['NON_CURRENT', 'NONE'],
      ['CURRENT', 'AUTOMATIC'],
    ],
  )
  await assert.rejects(use.rotateKeyOnDemand(key.id, {}), fails('Conflict'))
  await control.advanceClock(21 * 60_000)
  const again = await use.rotateKeyOnDemand(key.id, {})
  assert.equal(header(again).materials.length, 3)
  assert.equal((await use.decrypt(again, old, [], {})).plaintext.toString(), 'old')
  const { materialId } = await use.encrypt(again, Buffer.from('new'), [], {})
  assert.equal(materialId, header(again).materials[2]?.id)
  await use.setKeyRotation(key.id, false, 0, {})
  for (let i = 2; i <= 25; i++) await use.rotateKeyOnDemand(key.id, {})
  await assert.rejects(use.rotateKeyOnDemand(key.id, {}), fails('LimitExceeded'))
})

test('a key that the provider manages changes by nobody’s wish, and rotates every year', async () => {
  const key = await create({ manager: 'AWS', managerService: 'objects' })
  await assert.rejects(use.disableKey(key.id, {}), fails('NotPermitted'))
  await assert.rejects(use.scheduleKeyDeletion(key.id, 7, {}), fails('NotPermitted'))
  await assert.rejects(use.putKeyPolicy(key.id, Buffer.from('{}'), {}), fails('NotPermitted'))
  await control.advanceClock(365 * DAY + 1)
  assert.equal(header((await control.getRow('key', key.id)) as KeyRow).materials.length, 2)
})

test('imported material: once, twice, expired, deleted, brought back', async () => {
  const key = await create({ origin: 'EXTERNAL' })
  assert.equal(header(key).state, 'PendingImport')
  await assert.rejects(use.encrypt(key, Buffer.from('x'), [], {}), fails('KeyPendingImport'))
  const bring = async (material: Buffer, more: object = {}) => {
    const { token, publicKey } = await use.importParameters(key.id, 'RSAES_OAEP_SHA_256', 2048, {})
    const wrapped = wrapForImport(publicKey, 'RSAES_OAEP_SHA_256', material)
    const input = {
      token,
      wrapped,
      expirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE',
      validTo: 0,
      importType: '',
      description: '',
      materialId: '',
      ...more,
    } as const
    return use.importKeyMaterial(key.id, input, {})
  }
  const [one, two] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)]
  const first = await bring(one)
  assert.equal(header(first.row).state, 'Enabled')
  const message = (await use.encrypt(first.row, Buffer.from('x'), [], {})).ciphertext
  await assert.rejects(bring(two), fails('IncorrectKeyMaterial'))
  await assert.rejects(bring(one, { importType: 'NEW_KEY_MATERIAL' }), fails('IncorrectKeyMaterial'))
  await assert.rejects(use.rotateKeyOnDemand(key.id, {}), fails('NoPendingMaterial'))
  const second = await bring(two, { importType: 'NEW_KEY_MATERIAL', description: 'second' })
  assert.equal(header(second.row).materials[1]?.state, 'PENDING_ROTATION')
  await assert.rejects(bring(Buffer.alloc(32, 3), { importType: 'NEW_KEY_MATERIAL' }), fails('InvalidState'))
  const rotated = await use.rotateKeyOnDemand(key.id, {})
  assert.equal((await use.encrypt(rotated, Buffer.from('y'), [], {})).materialId, second.materialId)
  const deleted = await use.deleteImportedKeyMaterial(key.id, first.materialId, {})
  assert.equal(header(deleted.row).state, 'PendingImport')
  await assert.rejects(use.decrypt(deleted.row, message, [], {}), fails('KeyPendingImport'))
  const now = (await use.status()).lifecycleNow
  const back = await bring(one, {
    importType: 'EXISTING_KEY_MATERIAL',
    expirationModel: 'KEY_MATERIAL_EXPIRES',
    validTo: now + DAY,
  })
  assert.equal(header(back.row).state, 'Enabled')
  assert.equal((await use.decrypt(back.row, message, [], {})).plaintext.toString(), 'x')
  await control.advanceClock(2 * DAY)
  const expired = header((await control.getRow('key', key.id)) as KeyRow)
  assert.equal(expired.state, 'PendingImport')
  assert.deepEqual(
    expired.materials.map(each => each.present),
    [false, true],
  )
})

test('promise 11: a peer that breaks the protocol is cut off, and nobody else notices', async () => {
  const frame = (id: number, code: number, body: Buffer) => {
    const bytes = Buffer.alloc(9 + body.length)
    bytes.writeUInt32BE(5 + body.length, 0)
    bytes.writeUInt32BE(id, 4)
    bytes.writeUInt8(code, 8)
    body.copy(bytes, 9)
    return bytes
  }
  const hello = frame(0, 0, Buffer.from('HLDF\0\x01'))
  const bad: [string, Buffer[]][] = [
    ['no hello', [frame(1, 1, Buffer.alloc(0))]],
    ['another version', [frame(0, 0, Buffer.from('HLDF\0\x09'))]],
    ['garbage', [Buffer.from('GET / HTTP/1.1\r\n\r\n')]],
    ['a frame too long', [hello, Buffer.from([0x7f, 0xff, 0xff, 0xff])]],
    ['a frame too short', [hello, Buffer.from([0, 0, 0, 1, 0])]],
    ['no such operation', [hello, frame(1, 99, Buffer.alloc(0))]],
    ['an operation of the control socket', [hello, frame(1, 71, Buffer.alloc(0))]],
    ['a body cut short', [hello, frame(1, 16, Buffer.alloc(3))]],
    ['a body too long', [hello, frame(1, 1, Buffer.alloc(3))]],
    ['a list longer than the frame', [hello, frame(1, 3, Buffer.from([0, 0, 0x0f, 0xff]))]],
    ['an acknowledgement of what was not sent', [hello, frame(0, 112, Buffer.from([0, 0, 1, 0, 0, 0, 0, 0]))]],
  ]
  for (const [what, frames] of bad) {
    const received = await new Promise<Buffer>(resolve => {
      const socket = net.connect(boundary.running.useSocket)
      const chunks: Buffer[] = []
      socket.on('data', (chunk: Buffer) => chunks.push(chunk))
      socket.on('error', () => {})
      socket.once('close', () => resolve(Buffer.concat(chunks)))
      for (const each of frames) socket.write(each)
    })
    assert.ok(received.length > 0, `${what}: no refusal`)
  }
  assert.equal((await use.status()).service, 'kms')
})

test('a front end that does not acknowledge is cut off and holds up no administrator', async () => {
  const stuck = connectUse({ socket: boundary.running.useSocket, onWriteSet: () => new Promise(() => {}) })
  while (!stuck.connected) await new Promise(resolve => setImmediate(resolve))
  const row = { kind: 'account', id: 'stuck', scope: '', link: '', expected: 0, body: Buffer.from('1') } as const
  await control.putRows([row], {})
  stuck.close()
})

test('locked: every request says so, and after the passphrase the front end starts anew', async () => {
  const states: boolean[] = []
  const own = await inProcess({
    config: { root: { kind: 'passphrase' } },
    onConnected: hello => states.push(hello.locked),
  })
  await assert.rejects(own.use.generateRandom(8, {}), fails('Locked'))
  await assert.rejects(own.use.writeSets(0, 1), fails('Locked'))
  assert.equal((await own.use.status()).locked, true)
  await own.control.unlock(Buffer.from('correct horse battery staple'))
  while (states.at(-1) !== false) await new Promise(resolve => setImmediate(resolve))
  assert.equal((await own.use.generateRandom(8, {})).length, 8)
  await assert.rejects(own.control.unlock(Buffer.from('correct horse battery staple')), fails('InvalidState'))
  await own.stop()
  own.remove()
})

test('the version that the status names is the package’s', () => {
  const file = new URL('../../../package.json', import.meta.url)
  assert.equal(JSON.parse(fs.readFileSync(file, 'utf8')).version, VERSION)
})
