/**
 * Attestation with the AWS SDK against the real service, configured with a root of ours: a data key for the enclave whose register the key's policy names and
 * for no other, opened by the openssl command; no answer holds a plaintext, and the records say for whom each was.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { KMS } from '@aws-sdk/client-kms'
import { connectControl } from '../src/boundary/client/control.ts'
import type { Service } from '../src/boundary/supervisor/supervisor.ts'
import { serviceFolders } from '../src/config/folders.ts'
import { kmsConfig } from '../src/config/kms.ts'
import { parseConfig } from '../src/config/load.ts'
import { makeAdministrator } from '../src/kms/admin/index.ts'
import { startKmsService } from '../src/kms/dev.ts'
import {
  asMap,
  CborPairs,
  enclaveFields,
  type Fields,
  type Hierarchy,
  makeHierarchy,
  recipientKeys,
  registers,
  signDocument,
} from './support/attestation.ts'
import { opensslDecrypt } from './support/cms.ts'
import { readRecords } from './support/journal.ts'
import { ApiClient, type Credentials, REGION } from './support/kms.ts'
import { holdfast, newKey, refused, sdk } from './support/sdk.ts'

const ACCOUNT = '111122223333'
const IMAGE = Buffer.alloc(48, 0xc0)
const folder = mkdtempSync(join(tmpdir(), 'holdfast-attestation-'))
const data = join(folder, 'data')
const keys = recipientKeys()

let hierarchy: Hierarchy
let service: Service
let endpoint: string
let administrator: Credentials
let kms: KMS

before(async () => {
  hierarchy = await makeHierarchy()
  mkdirSync(data, { mode: 0o700 })
  writeFileSync(join(folder, 'root.pem'), hierarchy.rootPem)
  const config = parseConfig(kmsConfig, {
    data,
    listen: { port: 0 },
    regions: [REGION],
    account: ACCOUNT,
    boundary: { root: { kind: 'keyfile', file: join(data, 'root.key') } },
    attestation: { roots: [join(folder, 'root.pem')] },
    operations: { port: 0 },
  })
  service = startKmsService(config, false)
  endpoint = String((await service.ready).endpoint)
  const control = connectControl({ socket: join(serviceFolders(data).boundary, 'control.sock') })
  const made = await makeAdministrator(control, { account: ACCOUNT, user: 'admin', given: undefined })
  control.close()
  administrator = {
    accessKeyId: made.accessKeyId,
    secretAccessKey: made.secretAccessKey.reveal(bytes => bytes.toString('latin1')),
  }
  kms = sdk(endpoint, administrator)
})
after(async () => {
  kms?.destroy()
  await service?.stop()
  rmSync(folder, { recursive: true, force: true })
})

const documentOf = (change: Fields = {}): Buffer =>
  signDocument(
    hierarchy,
    asMap({ ...enclaveFields(hierarchy, keys.publicKey), pcrs: registers({ 0: IMAGE }), ...change }),
  )
const recipient = (AttestationDocument = documentOf()) =>
  ({ KeyEncryptionAlgorithm: 'RSAES_OAEP_SHA_256', AttestationDocument }) as const

/** A key whose data keys are for the enclave with this image alone; its administrator may do all the rest. */
async function enclaveKey(): Promise<string> {
  const Statement = [
    {
      Effect: 'Allow',
      Principal: { AWS: `arn:aws:iam::${ACCOUNT}:user/admin` },
      Action: 'kms:*',
      Resource: '*',
    },
    {
      Effect: 'Deny',
      Principal: '*',
      Action: ['kms:Decrypt', 'kms:GenerateDataKey'],
      Resource: '*',
      Condition: {
        StringNotEqualsIgnoreCase: { 'kms:RecipientAttestation:PCR0': IMAGE.toString('hex').toUpperCase() },
      },
    },
  ]
  return (await newKey(kms, { Policy: JSON.stringify({ Version: '2012-10-17', Statement }) })).id
}

test('a data key is for the enclave that the key’s policy names, and for no other', async () => {
  const KeyId = await enclaveKey()
  const KeySpec = 'AES_256'
  const made = await kms.generateDataKey({ KeyId, KeySpec, Recipient: recipient() })
  assert.equal(made.Plaintext, undefined)
  const dataKey = opensslDecrypt(Buffer.from(made.CiphertextForRecipient ?? []), keys.privateKey)
  assert.equal(dataKey.length, 32)
  const opened = await kms.decrypt({ CiphertextBlob: made.CiphertextBlob, Recipient: recipient() })
  assert.equal(opened.Plaintext, undefined)
  assert.equal(opened.KeyMaterialId, undefined)
  assert.deepEqual(opensslDecrypt(Buffer.from(opened.CiphertextForRecipient ?? []), keys.privateKey), dataKey)

  const other = recipient(documentOf({ pcrs: registers({ 0: Buffer.alloc(48, 1) }) }))
  const none = recipient(documentOf({ pcrs: registers({ 1: IMAGE }) }))
  const instance = recipient(documentOf({ pcrs: undefined, nitrotpm_pcrs: registers({ 0: IMAGE }) }))
  for (const Recipient of [undefined, other, none, instance]) {
    await refused(kms.generateDataKey({ KeyId, KeySpec, Recipient }), 'AccessDenied')
    await refused(kms.decrypt({ CiphertextBlob: made.CiphertextBlob, Recipient }), 'AccessDenied')
  }
  const old = recipient(documentOf({ timestamp: Date.now() - 400_000 }))
  await refused(
    kms.generateDataKey({ KeyId, KeySpec, Recipient: old }),
    'Validation',
    'The attestation document is older than 5 minutes.',
  )
})

test('no answer holds the plaintext, and the records say for whom it was', async () => {
  const client = new ApiClient(endpoint, administrator)
  try {
    const { KeyMetadata } = await client.ok('CreateKey')
    const plaintext = Buffer.from('read by the enclave and by nobody else')
    const { CiphertextBlob } = await client.ok('Encrypt', {
      KeyId: KeyMetadata.KeyId,
      Plaintext: plaintext.toString('base64'),
    })
    const Recipient = { ...recipient(), AttestationDocument: documentOf().toString('base64') }
    const attested = await client.call('Decrypt', { CiphertextBlob, Recipient })
    const random = await client.call('GenerateRandom', { NumberOfBytes: 32, Recipient })
    const plain = await client.call('Decrypt', { CiphertextBlob })
    for (const { status, text } of [attested, random]) {
      assert.equal(status, 200, text)
      assert.doesNotMatch(text, /"Plaintext"|KeyMaterialId/)
      for (const encoding of ['utf8', 'base64', 'hex'] as const) assert.ok(!text.includes(plaintext.toString(encoding)))
    }
    const opened = opensslDecrypt(Buffer.from(attested.json.CiphertextForRecipient, 'base64'), keys.privateKey)
    assert.deepEqual(opened, plaintext)
    assert.equal(plain.json.Plaintext, plaintext.toString('base64'))

    const digest = createHash('sha256').update(keys.publicKey).digest()
    const recordOf = (requestId: string) => {
      const found = readRecords(data).filter(({ record }) => record.asserted.requestId === requestId)
      assert.equal(found.length, 1)
      return found[0]?.record
    }
    assert.deepEqual(recordOf(attested.requestId)?.recipientDigest, digest)
    assert.deepEqual(recordOf(random.requestId)?.recipientDigest, digest)
    assert.equal(recordOf(plain.requestId)?.recipientDigest, undefined)
    assert.equal(recordOf(attested.requestId)?.size, plaintext.length)
  } finally {
    client.close()
  }
})

test('the records say what was attested, where it was refused as well, and holdfast log shows it', async () => {
  const KeyId = await enclaveKey()
  const client = new ApiClient(endpoint, administrator)
  const MODULE = 'i-00000000000000000-enc0000000000000000'
  /** What the record of a data key for this document says of it; `allowed`: whether there was one. */
  const attestedOf = async (change: Fields | undefined, allowed: boolean, more: object = {}) => {
    const document = change === undefined ? undefined : documentOf(change).toString('base64')
    const Recipient = { KeyEncryptionAlgorithm: 'RSAES_OAEP_SHA_256', AttestationDocument: document }
    const given = document === undefined ? {} : { Recipient }
    const { status, requestId } = await client.call('GenerateDataKey', { KeyId, NumberOfBytes: 16, ...given, ...more })
    assert.equal(status === 200, allowed)
    const found = readRecords(data).filter(({ record }) => record.asserted.requestId === requestId)
    assert.equal(found.length, 1)
    const { attestedModule, attestedRegisters } = found[0]?.record.asserted ?? {}
    return [attestedModule, attestedRegisters]
  }
  try {
    const image = IMAGE.toString('hex')
    assert.deepEqual(await attestedOf({}, true), [MODULE, `PCR0=${image}`])
    // By rising index, whatever the order in the document; of a register of zeros one digit.
    const mixed = registers({ 0: IMAGE, 4: Buffer.alloc(48), 8: Buffer.alloc(48, 8) })
    const turned = new CborPairs([...mixed.pairs].reverse())
    const said = [MODULE, `PCR0=${image},PCR4=0,PCR8=${'08'.repeat(48)}`]
    assert.deepEqual(await attestedOf({ pcrs: turned }, true), said)
    assert.deepEqual(await attestedOf({ pcrs: turned }, false, { DryRun: true }), said)
    // Refused by the key's policy: who tried, and with what.
    assert.deepEqual(await attestedOf({ pcrs: registers({ 0: Buffer.alloc(48) }) }, false), [MODULE, 'PCR0=0'])
    const instance = { pcrs: undefined, nitrotpm_pcrs: registers({ 4: IMAGE }), module_id: 'i-\u001b[2J' }
    assert.deepEqual(await attestedOf(instance, false), ['i-\u001b[2J', `NitroTPMPCR4=${image}`])
    // The most that a document may say.
    const most = registers(
      Object.fromEntries(Array.from({ length: 32 }, (_, index) => [index, Buffer.alloc(64, 0xab)])),
    )
    const [module, all] = await attestedOf({ pcrs: undefined, nitrotpm_pcrs: most, module_id: '€'.repeat(256) }, false)
    assert.deepEqual([module, all?.split(',').length], ['€'.repeat(256), 32])
    // Nothing is said of a document that does not hold, or where there is none.
    assert.deepEqual(await attestedOf({ timestamp: Date.now() - 400_000 }, false), [undefined, undefined])
    assert.deepEqual(await attestedOf(undefined, false), [undefined, undefined])

    const lines = (await holdfast('log', 'show', data, '--operation', 'GenerateDataKey', '--key', KeyId)).stdout
    assert.ok(lines.includes(`attested ${MODULE} PCR0=${image},PCR4=0,PCR8=${'08'.repeat(48)}`), lines)
    assert.ok(lines.includes('attested i-\\u001b[2J NitroTPMPCR4=') && !lines.includes('\u001b'), lines)
    const json = (await holdfast('log', 'show', data, '--json', '--outcome', 'denied', '--key', KeyId)).stdout
    const shown = json.split('\n').flatMap(line => (line === '' ? [] : [JSON.parse(line).asserted.attestedRegisters]))
    assert.deepEqual(shown, ['PCR0=0', `NitroTPMPCR4=${image}`, all, undefined])
    assert.match((await holdfast('log', 'verify', data)).stdout, /^good/)
  } finally {
    client.close()
  }
})

test('the service does not start with a root that is none', async () => {
  const bad = join(folder, 'bad')
  mkdirSync(bad, { mode: 0o700 })
  writeFileSync(join(folder, 'none.pem'), 'no certificate')
  const config = parseConfig(kmsConfig, {
    data: bad,
    listen: { port: 0 },
    regions: [REGION],
    boundary: { root: { kind: 'keyfile', file: join(bad, 'root.key') } },
    attestation: { roots: [join(folder, 'none.pem')] },
    operations: { port: 0 },
  })
  const broken = startKmsService(config, false)
  try {
    await assert.rejects(broken.ready, /none\.pem: holds no PEM certificate/)
  } finally {
    await broken.stop()
  }
})
