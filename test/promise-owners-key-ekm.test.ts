/**
 * With hold-your-own-key neither side can decrypt alone, through every protocol of the owner's key manager. The provider encrypts first: its data under a data key,
 * with node:crypto in its place here. The owner encrypts second: that data key, by the real service. What must hold on Holdfast's side, and is tested here:
 *
 * - What the provider keeps (ciphertext, and what the owner made of the data key) opens with nothing that the provider has, only with the owner's service, running
 *   and not revoked.
 * - What the owner has (root of trust, store, journal and logs, all of them read here from its disk) is no data, no ciphertext, no data key, and nothing that the
 *   owner made for the provider: whoever takes the owner's side alone has a key and nothing that it opens.
 *
 * What the promise means by protocol, and what of it is the vendor's part, which no test of ours can show:
 *
 * - AWS (xks): KMS encrypts under its own key before it asks, so that the owner who is shown the provider's stored ciphertext opens no data either. The vendor's
 *   part is that AWS does so; Holdfast's own KMS in that role is tested in promise-owners-key.test.ts.
 * - Double key encryption (dke): Office encrypts the content key to the owner's key, and that again under Microsoft's. Whoever has the document needs both. The
 *   vendor's part is the second encryption, made here as Microsoft documents it.
 * - Azure, Kubernetes, Workspace (kacls), Google: the owner gets the data key itself and never the data. The owner's ignorance rests on the vendor's keeping its
 *   ciphertext from the owner: an owner who is given what the provider keeps can open it, which the test states. That whoever asks (HSM pool, API server, browser,
 *   Cloud KMS) forgets the data key that it was answered is the vendor's part as well.
 */
import assert from 'node:assert/strict'
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { EXTERNAL_WRAPPINGS } from '../src/boundary/crypto/external-wrap.ts'
import { restore, revoke } from '../src/ekm/admin/index.ts'
import { type Caller, MINE } from './support/ekm-callers.ts'
import { HALVES, type Half, type OwnersKeys } from './support/ekm-halves.ts'
import { SAYS } from './support/ekm-says.ts'
import { NO_ANSWER } from './support/ekm-use.ts'
import { World } from './support/ekm-world.ts'
import { openFromDisk } from './support/from-disk.ts'

const DATA = Buffer.from('what neither side may read alone, in no other form than this')
const folder = mkdtempSync(join(tmpdir(), 'holdfast-halves-'))

let world: World
let by: Caller
let owner: OwnersKeys
/** What stays with the provider and must be nowhere on the owner's side. */
const secrets = new Map<string, Buffer>([['the data', DATA]])

before(async () => {
  world = await World.start(folder)
  by = world.caller(MINE)
  const keyOf = async (name: string): Promise<KeyObject> => {
    const { materials } = await openFromDisk(world.ekm.data, `${MINE}/${name}`, join(folder, 'owner.key'))
    const [material] = materials.values()
    assert.ok(material)
    return material
  }
  owner = { vault: await keyOf('vault'), pair: await keyOf('pair') }
})
after(async () => {
  await world?.stop()
  rmSync(folder, { recursive: true, force: true })
})

const NONCE = 12
const TAG = 16
/** The provider's layer: AES-256-GCM. */
function seal(key: KeyObject, plaintext: Buffer): Buffer {
  const nonce = randomBytes(NONCE)
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
}
function open(key: KeyObject, sealed: Buffer): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE))
  decipher.setAuthTag(sealed.subarray(-TAG))
  return Buffer.concat([decipher.update(sealed.subarray(NONCE, -TAG)), decipher.final()])
}

interface Provider {
  /** The data under the data key, which is forgotten; and what the owner's service made of that. */
  readonly ciphertext: Buffer
  readonly kept: Buffer
  readonly dataKey: Buffer
  /** Its own keys. */
  readonly keys: readonly KeyObject[]
}

async function stored(half: Half): Promise<Provider> {
  const dataKey = randomBytes(32)
  const ciphertext = seal(createSecretKey(dataKey), DATA)
  const kept = await half.wrap(world, by, dataKey)
  for (const [what, bytes] of Object.entries({ dataKey, ciphertext, kept }))
    secrets.set(`${what} of ${half.name}`, bytes)
  // Of a whole answer, what in it is the ciphertext.
  if (half.protocol === 'xks')
    secrets.set('the ciphertext in the answer of xks', Buffer.from(JSON.parse(kept.toString()).ciphertext, 'base64'))
  return { ciphertext, kept, dataKey, keys: [createSecretKey(randomBytes(32))] }
}

/** Everything that the provider can try with what it has: its own keys, and what it keeps taken for keys. */
function opensNothing({ ciphertext, kept, dataKey, keys }: Provider): void {
  for (const bytes of [ciphertext, kept]) for (const clear of [DATA, dataKey]) assert.ok(!bytes.includes(clear))
  const taken = [kept.subarray(0, 32), kept.subarray(-32), ciphertext.subarray(0, 32)].map(bytes =>
    createSecretKey(bytes),
  )
  for (const key of [...keys, ...taken]) {
    for (const bytes of [ciphertext, kept]) assert.throws(() => open(key, bytes))
    for (const { rsa, unwrap } of Object.values(EXTERNAL_WRAPPINGS)) if (!rsa) assert.throws(() => unwrap(key, kept))
  }
}

const providers = new Map<Half, Provider>()

describe('promise 9: neither side decrypts alone', () => {
  for (const half of HALVES)
    test(half.name, async () => {
      const provider = await stored(half)
      providers.set(half, provider)
      opensNothing(provider)

      // The owner's key opens the data key where somebody shows the owner what the provider keeps, and never the data.
      const opened = half.byOwner(owner, provider.kept)
      assert.deepEqual(opened, provider.dataKey)
      assert.throws(() => half.byOwner(owner, provider.ciphertext))
      assert.throws(() => open(owner.vault, provider.ciphertext))

      const answered = await half.unwrap(world, by, provider.kept)
      assert.ok(Buffer.isBuffer(answered), String(answered))
      assert.deepEqual(open(createSecretKey(answered), provider.ciphertext), DATA, 'both together open it')

      await revoke(world.control, { tenant: MINE })
      assert.equal(await half.unwrap(world, by, provider.kept), SAYS[half.protocol].revoked)
      await restore(world.control, { tenant: MINE })
      assert.deepEqual(await half.unwrap(world, by, provider.kept), provider.dataKey)
    })

  // With a layer of the vendor's around or beneath what the owner's key opens, an owner who is shown everything that is stored opens nothing.
  test('with Microsoft’s encryption around that of the owner’s key, a document opens for neither', async () => {
    const dke = HALVES.find(({ protocol }) => protocol === 'dke')
    assert.ok(dke)
    const microsoft = createSecretKey(randomBytes(32))
    const { kept, ciphertext, dataKey } = await stored(dke)
    const document = { ciphertext, license: seal(microsoft, kept) }
    for (const bytes of Object.values(document)) {
      assert.throws(() => dke.byOwner(owner, bytes), 'the owner alone')
      assert.throws(() => open(owner.vault, bytes))
      if (bytes !== document.license) assert.throws(() => open(microsoft, bytes), 'Microsoft alone')
    }
    assert.deepEqual(open(microsoft, document.license), kept)
    opensNothing({ kept, ciphertext, dataKey, keys: [microsoft] })
    const answered = await dke.unwrap(world, by, open(microsoft, document.license))
    assert.ok(Buffer.isBuffer(answered))
    assert.deepEqual(open(createSecretKey(answered), ciphertext), DATA)
  })

  test('with AWS’s encryption beneath that of the owner’s key, what is stored opens for neither', async () => {
    const xks = HALVES.find(({ protocol }) => protocol === 'xks')
    assert.ok(xks)
    const aws = createSecretKey(randomBytes(32))
    const inner = seal(aws, DATA)
    const kept = await xks.wrap(world, by, inner)
    secrets.set('what AWS keeps', kept)
    assert.throws(() => open(aws, kept), 'AWS alone')
    const opened = xks.byOwner(owner, kept)
    assert.ok(!opened.includes(DATA))
    assert.throws(() => open(owner.vault, opened), 'the owner alone')
    assert.deepEqual(open(aws, opened), DATA)
  })
})

test('promise 9: without the running owner nothing that a provider keeps opens', async () => {
  assert.equal(await world.ekm.stop(), 0)
  for (const [half, provider] of providers) {
    const said = await half.unwrap(world, by, provider.kept)
    // The plugin is the provider's to run, and has nobody to ask.
    assert.ok([NO_ANSWER, 'UNAVAILABLE'].includes(String(said)), `${half.name}: ${said}`)
  }
})

test('promise 9: the owner’s side holds neither data nor ciphertext nor data keys, nor what it made of them', () => {
  assert.ok(secrets.size > 3 * HALVES.length)
  const files = readdirSync(world.ekm.data, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
  assert.ok(files.length > 3)
  const held = files.map(entry => readFileSync(join(entry.parentPath, entry.name)))
  held.push(Buffer.from(world.ekm.stderr))
  assert.ok(held.some(part => part.includes(`${MINE}/vault`)))
  for (const [what, bytes] of secrets)
    for (const form of [
      bytes,
      ...(['hex', 'base64', 'base64url'] as const).map(encoding => Buffer.from(bytes.toString(encoding))),
    ])
      for (const part of held) assert.ok(!part.includes(form), what)
})
