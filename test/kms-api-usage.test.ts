/** What must outlive a loss of power although no request writes it: when a key was last used, and the markers of lists. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { KMS } from '@aws-sdk/client-kms'
import { type Kms, startKms } from './support/kms.ts'
import { newKey, refused, sdk } from './support/sdk.ts'

let data: string
let service: Kms
let kms: KMS

async function start(): Promise<void> {
  service = await startKms(['--data', data])
  kms = sdk(service.line.endpoint, service.line)
}

before(async () => {
  data = await mkdtemp(join(tmpdir(), 'holdfast-usage-'))
  await start()
})
after(async () => {
  kms?.destroy()
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
  kms.destroy()
  await service.killAll()

  await start()
  assert.deepEqual(await Promise.all(keys.map(({ id }) => usageOf(id))), before)
  assert.deepEqual((await kms.listKeys({ Marker: page.NextMarker })).Keys, rest.Keys)
  await refused(kms.listAliases({ Marker: page.NextMarker }), 'InvalidMarker')
  await kms.encrypt({ KeyId: first, Plaintext: Buffer.from('x') })
  assert.equal((await usageOf(first)).KeyLastUsage?.Operation, 'Encrypt')
})
