/** Random lives of multi-Region sets against a small model: whatever is done, every member says the same of the set, and is what the model says. */
import assert from 'node:assert/strict'
import { constants, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { BoundaryError } from '../words.ts'
import { headerOfRow as header, type InProcess, inProcess, newKey } from './testing/in-process.ts'
import { type Act, MODEL_REGIONS, type ModelRegion, SetModel, WINDOW_DAYS } from './testing/regions-model.ts'

const DAY = 86_400_000
const POLICY = Buffer.from('{"Statement":[]}')
const held = { now: false }
let boundary: InProcess
before(async () => {
  boundary = await inProcess({ held: () => held.now })
})
after(async () => {
  await boundary.stop()
  boundary.remove()
})

/** One set of the boundary, and the materials that were imported into it, by name. */
class Subject {
  readonly id = `mrk-${randomBytes(16).toString('hex')}`
  readonly model: SetModel
  readonly #secrets: Buffer[] = []

  constructor(model: SetModel) {
    this.model = model
  }

  at(region: ModelRegion): string {
    return `${region}/${this.id}`
  }

  async make(): Promise<void> {
    const origin = this.model.imported ? 'EXTERNAL' : 'AWS_KMS'
    await newKey(boundary.use, { id: this.at(this.model.primary), multiRegion: true, origin })
  }

  async #import(region: ModelRegion, name: number, isNew: boolean): Promise<void> {
    const id = this.at(region)
    this.#secrets[name] ??= randomBytes(32)
    const { token, publicKey } = await boundary.use.importParameters(id, 'RSAES_OAEP_SHA_256', 2048, {})
    const key = createPublicKey({ key: publicKey, format: 'der', type: 'spki' })
    const padding = constants.RSA_PKCS1_OAEP_PADDING
    const wrapped = publicEncrypt({ key, padding, oaepHash: 'sha256' }, this.#secrets[name])
    const importType = isNew ? 'NEW_KEY_MATERIAL' : 'EXISTING_KEY_MATERIAL'
    const expirationModel = 'KEY_MATERIAL_DOES_NOT_EXPIRE'
    const input = { token, wrapped, expirationModel, validTo: 0, importType, description: '', materialId: '' } as const
    await boundary.use.importKeyMaterial(id, input, {})
  }

  /** Asks the boundary for the act. The materials are those that the model had before. */
  async do(asked: Act, materials: readonly number[], nextName: number): Promise<void> {
    const { use, control } = boundary
    switch (asked.act) {
      case 'hold':
      case 'release':
        held.now = asked.act === 'hold'
        return
      case 'wait':
        await control.advanceClock((WINDOW_DAYS + 1) * DAY)
        return
      case 'importNew':
        return this.#import(asked.at, nextName, true)
      case 'import': {
        const name = materials[asked.which]
        return this.#import(asked.at, name ?? 1000, false)
      }
    }
    const id = this.at(asked.at)
    switch (asked.act) {
      case 'replicate':
        await use.replicateKey(id, { region: asked.to, policy: POLICY, rows: [] }, {})
        return
      case 'move':
        await use.updatePrimaryRegion(id, asked.to, {})
        return
      case 'rotate':
        await use.rotateKeyOnDemand(id, {})
        return
      case 'enable':
        await use.enableKey(id, {})
        return
      case 'disable':
        await use.disableKey(id, {})
        return
      case 'schedule':
        await use.scheduleKeyDeletion(id, WINDOW_DAYS, {})
        return
      case 'cancel':
        await use.cancelKeyDeletion(id, {})
        return
      case 'remove': {
        const row = await boundary.key(id)
        const ids = row?.body == null ? [] : header(row).materials.map(material => material.id)
        await use.deleteImportedKeyMaterial(id, ids[asked.which] ?? '0'.repeat(64), {})
      }
    }
  }

  /** Every row of the set, compared. */
  async check(): Promise<void> {
    const { model } = this
    const replicas = [...model.members.keys()].filter(region => region !== model.primary).sort()
    let ids: readonly string[] | undefined
    for (const region of MODEL_REGIONS) {
      const row = await boundary.key(this.at(region))
      const member = model.members.get(region)
      if (member === undefined) {
        assert.equal(row?.body ?? null, null, `${region} is no member`)
        continue
      }
      const said = header(row)
      assert.deepEqual(
        [said.state, said.multiRegion, said.primaryRegion, said.replicaRegions],
        [member.state, region === model.primary ? 'PRIMARY' : 'REPLICA', model.primary, replicas],
        region,
      )
      assert.deepEqual(
        said.materials.map(({ state, present }) => `${state} ${present}`),
        model.materials.map(material => `${model.shown(material)} ${member.has.has(material.name)}`),
        region,
      )
      const now = said.materials.map(material => material.id)
      assert.deepEqual(now, ids ?? now, 'all members list the same materials')
      ids = now
    }
  }

  /** Whatever a usable member encrypts opens in every usable member, and in no other. */
  async checkUses(): Promise<void> {
    const usable = [...this.model.members].filter(([, { state }]) => state === 'Enabled' || state === 'Updating')
    for (const [region] of usable) {
      const { ciphertext } = await boundary.use.encrypt(await boundary.key(this.at(region)), Buffer.from('x'), [], {})
      for (const [other, { state }] of this.model.members) {
        const opened = boundary.use.decrypt(await boundary.key(this.at(other)), ciphertext, [], {})
        if (state === 'Enabled' || state === 'Updating') assert.equal((await opened).plaintext.toString(), 'x')
        else await assert.rejects(opened, BoundaryError)
      }
    }
  }
}

/** Places in a set as it is by then, so that most acts mean something: 0 the primary, then the other members, then Regions without one. */
type Drawn = { readonly act: Act['act']; readonly at: number; readonly to: number; readonly which: number }

function meant(model: SetModel, { act, at, to, which }: Drawn): Act {
  const others = MODEL_REGIONS.filter(region => region !== model.primary)
  const sorted = [model.primary, ...others.sort((a, b) => Number(model.members.has(b)) - Number(model.members.has(a)))]
  const place = (index: number): ModelRegion => sorted[index] ?? model.primary
  // A replica comes to where there is none; the primary moves to where there is one.
  const target = act === 'replicate' ? place(sorted.length - 1 - to) : place(to + 1)
  return { act, at: place(at), to: target, which } as Act
}

const ACTS: readonly (readonly [weight: number, act: Act['act']])[] = [
  [6, 'replicate'],
  [4, 'move'],
  [5, 'rotate'],
  [4, 'enable'],
  [2, 'disable'],
  [2, 'schedule'],
  [3, 'cancel'],
  [4, 'importNew'],
  [8, 'import'],
  [3, 'remove'],
  [2, 'wait'],
  [1, 'hold'],
  [2, 'release'],
]
const drawn: fc.Arbitrary<Drawn> = fc.record({
  act: fc.oneof(...ACTS.map(([weight, act]) => ({ weight, arbitrary: fc.constant(act) }))),
  at: fc.oneof(
    { weight: 4, arbitrary: fc.constant(0) },
    { weight: 3, arbitrary: fc.constant(1) },
    { weight: 2, arbitrary: fc.constant(2) },
  ),
  to: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.constantFrom(1, 2) }),
  which: fc.nat(3),
})

for (const imported of [false, true]) {
  const what = imported ? 'imported' : 'generated'
  test(`sets of ${what} material, through whatever is done to their members`, async () => {
    const seed = Date.now() & 0x7fffffff
    console.log(`seed ${seed}`)
    const life = fc.asyncProperty(fc.array(drawn, { minLength: 20, maxLength: 80 }), async list => {
      held.now = false
      const model = new SetModel(imported)
      const subject = new Subject(model)
      await subject.make()
      let names = imported ? 0 : 1
      // A set that can do something to begin with: most of what is random would be refused otherwise.
      const start: Drawn[] = imported ? [{ act: 'importNew', at: 0, to: 0, which: 0 }] : []
      for (const each of [...start, ...list]) {
        if (model.gone) break
        const asked = meant(model, each)
        const before = model.materials.map(({ name }) => name)
        const wanted = model.do(asked)
        const said = await subject.do(asked, before, names).then(
          () => true,
          error => {
            assert.ok(error instanceof BoundaryError, String(error))
            assert.notEqual(error.code, 'Internal')
            return false
          },
        )
        if (asked.act === 'importNew' && wanted) names++
        assert.equal(said, wanted, JSON.stringify(asked))
        if (!held.now) await boundary.control.advanceClock(1)
        await subject.check()
      }
      await subject.checkUses()
    })
    await fc.assert(life, { numRuns: imported ? 20 : 60, seed, endOnFailure: true })
  })
}
