/** Requests with a Recipient, each with canaries in all that its document tells, and what must come of them: what is plaintext without one is the recipient's alone. */
import assert from 'node:assert/strict'
import { constants, createPublicKey, diffieHellman, generateKeyPairSync, publicEncrypt, randomBytes } from 'node:crypto'
import { OPERATIONS } from '../../src/kms/operations/table.ts'
import { OPERATION_INPUTS, shapeOf } from '../../src/kms/wire/model/model.ts'
import { asMap, enclaveFields, type Hierarchy, recipientKeys, type Signing, signDocument } from './attestation.ts'
import { type Canaries, contains } from './canaries.ts'
import { opensslDecrypt } from './cms.ts'
import type { Answer } from './kms.ts'
import { requestOf, type World } from './requests.ts'

const JOURNAL = 'provider journal'
const SPKI = { format: 'der', type: 'spki' } as const

/** Operations with a Recipient, by the API's model. */
const ATTESTED = OPERATIONS.map(({ name }) => name).filter(
  name => shapeOf(OPERATION_INPUTS.get(name) ?? '').members?.Recipient !== undefined,
)

interface Given {
  readonly canaries: Canaries
  readonly hierarchy: Hierarchy
  ask(operation: string, input: object): Promise<Answer>
  readonly world: World
  /** A key in an external key store. */
  readonly external: string
}

export class CanaryRecipients {
  /** What came out for the recipient, by what it is: it never was in the front end, which handed on what only the recipient opens. */
  readonly opened = new Map<string, Buffer>()
  readonly #given: Given
  readonly #keys = recipientKeys()

  constructor(given: Given) {
    this.#given = given
  }

  /** Every operation that has a Recipient; then dry runs, which open what nobody is given. */
  async use(): Promise<void> {
    const { world, external } = this.#given
    const blobs: object[] = []
    for (const [custody, KeyId] of [
      ['local', world.KeyId],
      ['external', external],
    ] as const) {
      await this.#attested(`data key, ${custody}`, 'GenerateDataKey', { KeyId, KeySpec: 'AES_256' })
      const { json } = await this.#ok('GenerateDataKeyWithoutPlaintext', { KeyId, NumberOfBytes: 64 })
      const { CiphertextBlob } = json
      await this.#attested(`data key without plaintext, ${custody}`, 'Decrypt', { CiphertextBlob })
      blobs.push({ CiphertextBlob })
    }
    blobs.push(await this.#rsa())
    const pair = { KeyId: world.KeyId, KeyPairSpec: 'ECC_NIST_P256' }
    const pkcs8 = await this.#attested('private key of a pair', 'GenerateDataKeyPair', pair)
    // The number alone: 32 bytes behind the heads of PKCS #8 and of SEC 1.
    this.opened.set('private number of a pair', pkcs8.subarray(36, 68))
    const peer = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const PublicKey = peer.publicKey.export(SPKI).toString('base64')
    const agreement = { KeyId: world.agreement, KeyAgreementAlgorithm: 'ECDH', PublicKey }
    const shared = await this.#attested('SharedSecret', 'DeriveSharedSecret', agreement)
    const publicKey = createPublicKey({ key: Buffer.from(world.PublicKey, 'base64'), ...SPKI })
    assert.deepEqual(shared, diffieHellman({ privateKey: peer.privateKey, publicKey }))
    await this.#attested('random bytes', 'GenerateRandom', { NumberOfBytes: 64 })
    for (const blob of blobs) await this.#dry('Decrypt', blob)
    for (const blob of blobs.slice(0, 2)) await this.#dry('ReEncrypt', { ...blob, DestinationKeyId: external })
  }

  /** Recipients that are refused, of every operation that has one: nothing of them is kept. */
  async misuse(): Promise<void> {
    const { canaries, world, ask } = this.#given
    assert.equal(ATTESTED.length, 5)
    for (const name of ATTESTED) {
      const AttestationDocument = Buffer.from(canaries.text(`a document for ${name} that is none`)).toString('base64')
      for (const Recipient of [
        this.#recipient([], { signature: randomBytes(96) }),
        this.#recipient([], { header: Buffer.from(canaries.text('header of a document')) }),
        { KeyEncryptionAlgorithm: 'RSAES_OAEP_SHA_256', AttestationDocument },
        { KeyEncryptionAlgorithm: canaries.text('KeyEncryptionAlgorithm'), AttestationDocument },
        { [canaries.text('name of an unknown member of Recipient')]: canaries.text('unknown member of Recipient') },
      ])
        assert.equal((await ask(name, { ...requestOf(name, world), Recipient })).status, 400, name)
    }
  }

  /** A document that tells all that one can; only its module may be kept, in the record, and that only where the document holds. */
  #recipient(places: readonly string[], signing: Signing = {}): object {
    const { canaries, hierarchy } = this.#given
    const fields = {
      ...enclaveFields(hierarchy, this.#keys.publicKey),
      module_id: canaries.text('module_id', ...places),
      user_data: Buffer.from(canaries.text('user_data')),
      nonce: Buffer.from(canaries.text('nonce')),
    }
    const AttestationDocument = signDocument(hierarchy, asMap(fields), signing).toString('base64')
    return { KeyEncryptionAlgorithm: 'RSAES_OAEP_SHA_256', AttestationDocument }
  }

  async #ok(operation: string, input: object): Promise<Answer> {
    const answer = await this.#given.ask(operation, input)
    assert.equal(answer.status, 200, `${operation}: ${answer.text}`)
    return answer
  }

  /** Asks for the recipient: the answer has CMS in place of the plaintext, and what the CMS holds is nowhere else in it. Returns that. */
  async #attested(label: string, operation: string, input: object): Promise<Buffer> {
    const { text, json } = await this.#ok(operation, { ...input, Recipient: this.#recipient([JOURNAL]) })
    for (const member of ['Plaintext', 'PrivateKeyPlaintext', 'SharedSecret']) assert.ok(!(member in json), label)
    const opened = opensslDecrypt(Buffer.from(json.CiphertextForRecipient, 'base64'), this.#keys.privateKey)
    assert.ok(!contains(Buffer.from(text), opened), `${label} is in the answer`)
    this.#given.canaries.secret(`${label}, for a recipient`, opened)
    this.opened.set(label, opened)
    return opened
  }

  /** What was encrypted elsewhere to the public key of a KMS key. */
  async #rsa(): Promise<object> {
    const { json: made } = await this.#ok('CreateKey', { KeySpec: 'RSA_2048', KeyUsage: 'ENCRYPT_DECRYPT' })
    const { KeyId } = made.KeyMetadata
    const { json } = await this.#ok('GetPublicKey', { KeyId })
    const key = createPublicKey({ key: Buffer.from(json.PublicKey, 'base64'), ...SPKI })
    const plaintext = randomBytes(32)
    const oaep = { key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }
    const CiphertextBlob = publicEncrypt(oaep, plaintext).toString('base64')
    const request = { KeyId, EncryptionAlgorithm: 'RSAES_OAEP_SHA_256', CiphertextBlob }
    assert.deepEqual(await this.#attested('plaintext under an RSA key', 'Decrypt', request), plaintext)
    return request
  }

  async #dry(operation: string, input: object): Promise<void> {
    const { json } = await this.#given.ask(operation, { ...input, DryRun: true })
    assert.equal(json.__type, 'DryRunOperationException', operation)
  }
}
