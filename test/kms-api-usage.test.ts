/** What must outlive a loss of power although no request writes it: when a key was last used, and the markers of lists. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { KMS } from '@aws-sdk/client-kms'
import { type Kms, REGION, startKms } from './support/kms.ts'
import { call, newKey, refused, sdk, settled } from './support/sdk.ts'

const OTHER_REGION = 'eu-west-1'

let data: string
let service: Kms
let kms: KMS
let elsewhere: KMS

async function start(): Promise<void> {
  service = await startKms(['--data', data, '--regions', `${REGION},${OTHER_REGION}`])
  kms = sdk(service.line.endpoint, service.line)
  elsewhere = sdk(service.line.endpoint, service.line, OTHER_REGION)
}

async function killAndStart(): Promise<void> {
  kms.destroy()
  elsewhere.destroy()
  await service.killAll()
  await start()
}

before(async () => {
  data = await mkdtemp(join(tmpdir(), 'holdfast-usage-'))
  await start()
})
after(async () => {
  kms?.destroy()
  elsewhere?.destroy()
  await service?.stop()
  await rm(data, { recursive: true, force: true })
})

test('the last use of every key, and markers, after every process was killed', async () => {
  const keys = await Promise.all(Array.from({ length: 5 }, () => newKey(kms)))
  const [first, second, third] = keys.map(({ id }) => id) as [string, string, string]
  const { CiphertextBlob } = await kms.encrypt({ KeyId: first, Plaintext: Buffer.from('x') })
  await kms.generateDataKey({ KeyId: second, KeySpec: 'AES_256' })
  const { $metadata } = await kms.reEncrypt({ CiphertextBlob, DestinationKeyId: third })
  const usageOf = async (KeyId: string) => {
    const { $metadata: _, ...usage } = await kms.getKeyLastUsage({ KeyId })
    return usage
  }
  const before = await Promise.all(keys.map(({ id }) => usageOf(id)))
  assert.deepEqual(
    before.map(({ KeyLastUsage }) => KeyLastUsage?.Operation),
    ['ReEncrypt', 'GenerateDataKey', 'ReEncrypt', undefined, undefined],
  )
  assert.equal(before[2]?.KeyLastUsage?.KmsRequestId, $metadata.requestId)
  const page = await kms.listKeys({ Limit: 2 })
  const rest = await kms.listKeys({ Marker: page.NextMarker })
  await killAndStart()
  assert.deepEqual(await Promise.all(keys.map(({ id }) => usageOf(id))), before)
  assert.deepEqual((await kms.listKeys({ Marker: page.NextMarker })).Keys, rest.Keys)
  await refused(kms.listAliases({ Marker: page.NextMarker }), 'InvalidMarker')
  await kms.encrypt({ KeyId: first, Plaintext: Buffer.from('x') })
  assert.equal((await usageOf(first)).KeyLastUsage?.Operation, 'Encrypt')
})

test('primary and replica each have a last use of their own, and keep it', async () => {
  const KeyId = (await kms.createKey({ MultiRegion: true })).KeyMetadata?.KeyId ?? ''
  const lastUse = async (client: KMS) => (await client.getKeyLastUsage({ KeyId })).KeyLastUsage
  const { CiphertextBlob, $metadata: encrypted } = await kms.encrypt({ KeyId, Plaintext: Buffer.from('x') })
  await kms.replicateKey({ KeyId, ReplicaRegion: OTHER_REGION })
  await settled(elsewhere, KeyId)
  assert.deepEqual(await lastUse(elsewhere), {}, 'a replica begins unused, whatever its primary was used for')
  const before = await lastUse(kms)
  assert.deepEqual([before?.Operation, before?.KmsRequestId], ['Encrypt', encrypted.requestId])

  const uses: readonly (readonly [string, object])[] = [
    ['Decrypt', { CiphertextBlob }],
    ['GenerateDataKey', { KeyId, KeySpec: 'AES_256' }],
    ['ReEncrypt', { CiphertextBlob, DestinationKeyId: KeyId }],
  ]
  for (const [operation, input] of uses) {
    await call(elsewhere, operation, input)
    assert.equal((await lastUse(elsewhere))?.Operation, operation)
    assert.deepEqual(await lastUse(kms), before, `${operation} of the replica is no use of its primary`)
  }
  const ofReplica = await lastUse(elsewhere)
  await kms.decrypt({ CiphertextBlob })
  const ofPrimary = await lastUse(kms)
  assert.equal(ofPrimary?.Operation, 'Decrypt')
  assert.deepEqual(await lastUse(elsewhere), ofReplica)

  await kms.updatePrimaryRegion({ KeyId, PrimaryRegion: OTHER_REGION })
  await killAndStart()
  assert.deepEqual(await lastUse(kms), ofPrimary)
  assert.deepEqual(await lastUse(elsewhere), ofReplica)
})
