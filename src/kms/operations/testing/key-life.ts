/** For tests: a key of a real KMS and its model, asked the same, one operation after the other. */
import assert from 'node:assert/strict'
import { constants, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto'
import type { Caller } from '../../access/types.ts'
import type { Answer, TestKms } from '../../testing.ts'
import { KeyModel, type Material, type Origin, type Refusal } from './key-model.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const pick = <T>(list: readonly T[], place: number): T | undefined => list[place % Math.max(1, list.length)]

interface Token {
  readonly ImportToken: string
  readonly PublicKey: string
  /** Lifecycle time. */
  readonly until: number
}

/** One key and its model, side by side. `n` chooses among what there is. */
export class Life {
  readonly #kms: TestKms
  readonly #caller: Caller
  readonly #model: KeyModel
  readonly #keyId: string
  #token: Token | undefined

  private constructor(kms: TestKms, caller: Caller, keyId: string, model: KeyModel) {
    this.#kms = kms
    this.#caller = caller
    this.#keyId = keyId
    this.#model = model
  }

  static async begin(kms: TestKms, caller: Caller, origin: Origin): Promise<Life> {
    const { KeyMetadata } = await kms.ok('CreateKey', { Origin: origin }, caller)
    const model = new KeyModel(KeyMetadata.Arn, origin)
    if (origin === 'AWS_KMS') model.made(KeyMetadata.CurrentKeyMaterialId, undefined)
    return new Life(kms, caller, KeyMetadata.KeyId, model)
  }

  get #now(): number {
    return this.#kms.services.clocks.lifecycle()
  }

  /** Asks, and compares with what the model refuses; the answer where neither does. */
  async #ask(operation: string, input: object, refusal: Refusal | undefined): Promise<Answer['body'] | undefined> {
    const { status, body } = await this.#kms.call(operation, { KeyId: this.#keyId, ...input }, this.#caller)
    const said = `${operation} of a key that is ${this.#model.state}: ${JSON.stringify(body)}`
    if (refusal === undefined) {
      assert.equal(status, 200, said)
      return body
    }
    assert.deepEqual([status, body.__type], [400, refusal.type], said)
    if (typeof refusal.text === 'string') assert.equal(body.message, refusal.text)
    else if (refusal.text !== undefined) assert.match(body.message, refusal.text)
    return undefined
  }

  /** The newest material's id, which is the service's to say. */
  async #learn(): Promise<void> {
    const { Rotations } = await this.#kms.ok(
      'ListKeyRotations',
      { KeyId: this.#keyId, IncludeKeyMaterial: 'ALL_KEY_MATERIAL' },
      this.#caller,
    )
    const material = this.#model.materials.at(-1)
    if (material !== undefined) material.id = Rotations.at(-1).KeyMaterialId
  }

  readonly steps: Readonly<Record<string, (n: number) => Promise<void>>> = {
    EnableKey: async () => {
      await this.#ask('EnableKey', {}, this.#model.enable('Enabled'))
      // A rotation that was missed is made up for.
      await this.pass(HOUR)
    },
    DisableKey: async () => {
      await this.#ask('DisableKey', {}, this.#model.enable('Disabled'))
    },
    ScheduleKeyDeletion: async n => {
      const PendingWindowInDays = 7 + (n % 24)
      const refusal = this.#model.schedule(0)
      const body = await this.#ask('ScheduleKeyDeletion', { PendingWindowInDays }, refusal)
      if (body === undefined) return
      assert.deepEqual([body.KeyState, body.PendingWindowInDays], ['PendingDeletion', PendingWindowInDays])
      this.#model.deletionAt = body.DeletionDate * 1000
      assert.ok(Math.abs(this.#model.deletionAt - this.#now - PendingWindowInDays * DAY) < HOUR)
    },
    CancelKeyDeletion: async () => {
      await this.#ask('CancelKeyDeletion', {}, this.#model.cancel())
    },
    EnableKeyRotation: async n => {
      const days = 90 + (n % 3) * 30
      const refusal = this.#model.setRotation({ days, next: this.#now + days * DAY })
      await this.#ask('EnableKeyRotation', { RotationPeriodInDays: days }, refusal)
    },
    DisableKeyRotation: async () => {
      await this.#ask('DisableKeyRotation', {}, this.#model.setRotation(undefined))
    },
    GetKeyRotationStatus: async () => {
      const body = await this.#ask('GetKeyRotationStatus', {}, this.#model.rotationStatus())
      if (body === undefined) return
      const { rotation, state } = this.#model
      const shown = rotation !== undefined && state !== 'PendingDeletion'
      assert.equal(body.KeyRotationEnabled, shown)
      assert.equal(body.RotationPeriodInDays, shown ? rotation.days : undefined)
      if (shown) assert.ok(Math.abs(body.NextRotationDate * 1000 - rotation.next) < HOUR)
    },
    RotateKeyOnDemand: async () => {
      const refusal = this.#model.rotate(this.#now, '')
      await this.#ask('RotateKeyOnDemand', {}, refusal)
      if (refusal === undefined && this.#model.origin === 'AWS_KMS') await this.#learn()
    },
    ImportNew: async n => this.#import(n, undefined),
    ImportAgain: async n => this.#import(n, pick(this.#model.materials, n) ?? 'none'),
    DeleteImportedKeyMaterial: async n => {
      const material = n % 2 === 0 ? undefined : pick(this.#model.materials, n)
      const KeyMaterialId = material?.id
      const refusal = this.#model.deleteMaterial(material)
      await this.#ask('DeleteImportedKeyMaterial', KeyMaterialId === undefined ? {} : { KeyMaterialId }, refusal)
    },
    Encrypt: async n => {
      const plaintext = Buffer.from(`message ${n}`).toString('base64')
      const body = await this.#ask('Encrypt', { Plaintext: plaintext }, this.#model.use('Encrypt'))
      const { current } = this.#model
      if (body === undefined || current === undefined) return
      this.#model.messages.push({ blob: body.CiphertextBlob, material: current, plaintext })
    },
    Decrypt: async n => {
      const message = pick(this.#model.messages, n)
      if (message === undefined) return
      const input = { CiphertextBlob: message.blob, KeyId: undefined }
      const body = await this.#ask('Decrypt', input, this.#model.decrypt())
      if (body === undefined) return
      assert.equal(body.Plaintext, message.plaintext)
      assert.equal(body.KeyMaterialId, message.material.id)
    },
    TagResource: async n => {
      const refusal = this.#model.change()
      const [TagKey, TagValue] = [`tag${n % 3}`, String(n)]
      if (refusal === undefined) this.#model.tags.set(TagKey, TagValue)
      await this.#ask('TagResource', { Tags: [{ TagKey, TagValue }] }, refusal)
    },
    UntagResource: async n => {
      const refusal = this.#model.change()
      if (refusal === undefined) this.#model.tags.delete(`tag${n % 3}`)
      await this.#ask('UntagResource', { TagKeys: [`tag${n % 3}`] }, refusal)
    },
    CreateAlias: async () => {
      const AliasName = `alias/${this.#keyId}/${this.#model.aliases.size}`
      if (this.#model.aliases.has(AliasName)) return
      const refusal = this.#model.change()
      if (refusal === undefined) this.#model.aliases.add(AliasName)
      await this.#ask('CreateAlias', { KeyId: undefined, AliasName, TargetKeyId: this.#keyId }, refusal)
    },
    DeleteAlias: async n => {
      const AliasName = pick([...this.#model.aliases], n)
      if (AliasName === undefined) return
      this.#model.aliases.delete(AliasName)
      await this.#ask('DeleteAlias', { KeyId: undefined, AliasName }, undefined)
    },
    UpdateKeyDescription: async n => {
      const refusal = this.#model.change()
      if (refusal === undefined) this.#model.description = String(n)
      await this.#ask('UpdateKeyDescription', { Description: String(n) }, refusal)
    },
    ListKeyRotations: async () => {
      const body = await this.#ask('ListKeyRotations', { IncludeKeyMaterial: 'ALL_KEY_MATERIAL' }, this.#model.read())
      if (body === undefined) return
      const external = this.#model.origin === 'EXTERNAL'
      const listed = (of: Material) => [
        of.id,
        of.state,
        of.rotation,
        external ? (of.present ? 'IMPORTED' : 'PENDING_IMPORT') : undefined,
      ]
      assert.deepEqual(
        // biome-ignore lint/suspicious/noExplicitAny: an answer
        body.Rotations.map((each: any) => [
          each.KeyMaterialId,
          each.KeyMaterialState,
          each.RotationType,
          each.ImportState,
        ]),
        this.#model.materials.map(listed),
      )
    },
    Pass: n => this.pass((n % 40) * DAY + HOUR),
  }

  async #import(n: number, again: Material | 'none' | undefined): Promise<void> {
    const expires = n % 3 === 0
    const bytes = again === undefined || again === 'none' ? randomBytes(32) : (again.bytes ?? randomBytes(32))
    let token = this.#token
    if (token === undefined || token.until <= this.#now + HOUR) {
      const wanted = { WrappingAlgorithm: 'RSAES_OAEP_SHA_256', WrappingKeySpec: 'RSA_2048' }
      const body = await this.#ask('GetParametersForImport', wanted, this.#model.parameters())
      if (body === undefined) return
      token = { ...body, until: body.ParametersValidTo * 1000 } as Token
      this.#token = token
    }
    const { ImportToken, PublicKey } = token
    const key = createPublicKey({ key: Buffer.from(PublicKey, 'base64'), format: 'der', type: 'spki' })
    const wrapping = { key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }
    const ValidTo = Math.floor((this.#now + (1 + (n % 30)) * DAY) / 1000)
    const validTo = expires ? ValidTo * 1000 : 0
    const refusal =
      again === undefined
        ? this.#model.importNew(bytes, validTo)
        : this.#model.importAgain(again === 'none' ? undefined : again, validTo)
    const body = await this.#ask(
      'ImportKeyMaterial',
      {
        ImportToken,
        EncryptedKeyMaterial: publicEncrypt(wrapping, bytes).toString('base64'),
        ImportType: again === undefined ? 'NEW_KEY_MATERIAL' : 'EXISTING_KEY_MATERIAL',
        ...(expires ? { ValidTo } : { ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE' }),
      },
      refusal,
    )
    if (body === undefined) return
    const material = again === undefined ? this.#model.materials.at(-1) : (again as Material)
    if (material === undefined) return
    if (again === undefined) material.id = body.KeyMaterialId
    else assert.equal(body.KeyMaterialId, material.id)
  }

  async pass(milliseconds: number): Promise<void> {
    await this.#kms.advance(milliseconds)
    if (this.#model.pass(this.#now)) await this.#learn()
  }

  /** What can be seen of the key, whatever its state. */
  async look(): Promise<void> {
    const model = this.#model
    const body = await this.#ask('DescribeKey', {}, model.read())
    const usage = await this.#ask('GetKeyLastUsage', {}, model.read())
    const tags = await this.#ask('ListResourceTags', {}, model.read())
    const aliases = await this.#ask('ListAliases', {}, model.read())
    if (body === undefined) return
    const { KeyState, Enabled, Description, DeletionDate, Origin: origin } = body.KeyMetadata
    assert.deepEqual(
      [KeyState, Enabled, Description, origin],
      [model.state, model.state === 'Enabled', model.description, model.origin],
    )
    assert.equal(DeletionDate !== undefined, model.state === 'PendingDeletion')
    if (model.state === 'Enabled') assert.equal(body.KeyMetadata.CurrentKeyMaterialId, model.current?.id)
    assert.equal(usage.KeyLastUsage.Operation, model.lastUse)
    const shown = tags.Tags.map((tag: { TagKey: string; TagValue: string }) => [tag.TagKey, tag.TagValue])
    assert.deepEqual(new Map(shown), model.tags)
    const names = aliases.Aliases.map((alias: { AliasName: string }) => alias.AliasName)
    assert.deepEqual(new Set(names), model.aliases)
  }
}
