/** `holdfast kms --dev --data DIR`, started again and again on one folder: the keys stay, and each run has a credential of its own. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { startKms } from './support/kms.ts'
import { newKey, refusalOf, sdk } from './support/sdk.ts'

/** More than the credentials that a principal may have. */
const STARTS = 12
const data = mkdtempSync(join(tmpdir(), 'holdfast-again-'))
after(() => rmSync(data, { recursive: true, force: true }))

test('many starts: what was encrypted in the first opens in the last, and only the last credential is valid', async () => {
  const Plaintext = Buffer.from('stays')
  let CiphertextBlob: Uint8Array | undefined
  let before: { accessKeyId: string; secretAccessKey: string } | undefined
  for (let start = 0; start < STARTS; start++) {
    const service = await startKms(['--data', data])
    const kms = sdk(service.line.endpoint, service.line)
    const old = before && sdk(service.line.endpoint, before)
    try {
      CiphertextBlob ??= (await kms.encrypt({ KeyId: (await newKey(kms)).id, Plaintext })).CiphertextBlob
      assert.deepEqual(Buffer.from((await kms.decrypt({ CiphertextBlob })).Plaintext ?? []), Plaintext)
      if (old) assert.equal((await refusalOf(old.listKeys({})))?.name, 'UnrecognizedClientException')
      before = { accessKeyId: service.line.accessKeyId, secretAccessKey: service.line.secretAccessKey }
    } finally {
      kms.destroy()
      old?.destroy()
      await service.stop()
    }
  }
})
