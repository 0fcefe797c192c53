import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ExternalCiphertext, KeyRow } from '../client/api.ts'
import { readExternalMetadata } from '../crypto/external.ts'
import { BoundaryError } from '../words.ts'
import { fails, headerOfRow, type InProcess, inProcess } from './testing/in-process.ts'

const RENEW_AFTER = 400
const limits = { maxEncryptions: 2 * RENEW_AFTER, renewAfter: RENEW_AFTER }
const aad = Buffer.from('aad')
const plaintext = Buffer.from('the provider’s blob')

const create = ({ control }: InProcess): Promise<KeyRow> =>
  control.createExternalKey(
    {
      id: 'acme/k',
      scope: 'acme',
      tenant: 'acme',
      spec: 'EXTERNAL_AES_256',
      backing: 'SEALED',
      tokenObject: '',
      mayEncrypt: true,
      mayDecrypt: true,
    },
    {},
  )

/** A front end's way with a key: the row that a refusal of a stale one brings is taken, once. */
class User {
  readonly #boundary: InProcess
  row: KeyRow
  constructor(boundary: InProcess, row: KeyRow) {
    this.#boundary = boundary
    this.row = row
  }

  async encrypt(): Promise<ExternalCiphertext> {
    const { use } = this.#boundary
    try {
      return await use.externalEncrypt(this.row, plaintext, aad, false, {})
    } catch (error) {
      if (!(error instanceof BoundaryError) || error.code !== 'StaleKey' || error.row === undefined) throw error
      this.row = error.row as KeyRow
      return use.externalEncrypt(this.row, plaintext, aad, false, {})
    }
  }
}

const versionOf = ({ metadata }: ExternalCiphertext): number => readExternalMetadata(metadata) ?? 0
const versions = (row: KeyRow): string[] => headerOfRow(row).materials.map(({ id, state }) => `${id} ${state}`)
const counted = (all: readonly ExternalCiphertext[]): Map<number, number> => {
  const by = new Map<number, number>()
  for (const each of all) by.set(versionOf(each), (by.get(versionOf(each)) ?? 0) + 1)
  return by
}

test('a version that was used often is followed by the next one, once, while many use the key without an error', async () => {
  const boundary = await inProcess({ config: { service: 'ekm', limits } })
  const user = new User(boundary, await create(boundary))
  const made: ExternalCiphertext[] = []
  const worker = async (): Promise<void> => {
    for (let i = 0; i < 50; i++) made.push(await user.encrypt())
  }
  await Promise.all(Array.from({ length: 32 }, worker))
  const row = await boundary.key('acme/k')
  const by = counted(made)
  const last = Math.max(...by.keys())
  assert.ok(last >= 3, `${last} versions`)
  for (let version = 1; version < last; version++) {
    const uses = by.get(version) ?? 0
    assert.ok(uses >= RENEW_AFTER && uses < limits.maxEncryptions, `version ${version}: ${uses}`)
  }
  const names = Array.from({ length: headerOfRow(row).materials.length }, (_, at) =>
    (at + 1).toString(16).padStart(8, '0'),
  )
  assert.deepEqual(
    versions(row),
    names.map((id, at) => `${id} ${at === names.length - 1 ? 'CURRENT' : 'NON_CURRENT'}`),
  )
  assert.equal(row.revision, names.length, 'each version is one change of the key')
  assert.equal(headerOfRow(row).materials.at(-1)?.rotationType, 'AUTOMATIC')
  for (const each of made)
    assert.deepEqual(await boundary.use.externalDecrypt(row, each, aad, {}), plaintext, 'an old version decrypts')
  assert.deepEqual(
    (await boundary.control.status()).warnings.filter(each => each.includes('new version')),
    [],
  )
  await boundary.stop()
  boundary.remove()
})

test('a key that is revoked gets no new version until it is used again', async () => {
  const boundary = await inProcess({ config: { service: 'ekm', limits } })
  const user = new User(boundary, await create(boundary))
  for (let i = 0; i < RENEW_AFTER; i++) assert.equal(versionOf(await user.encrypt()), 1)
  await boundary.control.revoke({ key: 'acme/k' }, {})
  await assert.rejects(user.encrypt(), fails('KeyRevoked'))
  assert.equal(versions(await boundary.key('acme/k')).length, 1)
  await boundary.control.restore({ key: 'acme/k' }, {})
  user.row = await boundary.key('acme/k')
  while (versionOf(await user.encrypt()) === 1) assert.ok(versions(await boundary.key('acme/k')).length <= 2)
  assert.deepEqual(versions(await boundary.key('acme/k')), ['00000001 NON_CURRENT', '00000002 CURRENT'])
  await boundary.stop()
  boundary.remove()
})

test('what was due when the boundary ended is done at the next start, without a use', async () => {
  const boundary = await inProcess({ config: { service: 'ekm' } })
  const user = new User(boundary, await create(boundary))
  for (let i = 0; i < RENEW_AFTER; i++) await user.encrypt()
  await boundary.stop()
  const second = await inProcess({ config: { service: 'ekm', limits }, folder: boundary.folder })
  let row: KeyRow
  do row = await second.key('acme/k')
  while (row.revision === 1)
  assert.deepEqual(versions(row), ['00000001 NON_CURRENT', '00000002 CURRENT'])
  await second.stop()
  second.remove()
})
