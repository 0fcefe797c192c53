/** Ansible's `amazon.aws.kms_key`: made, made again without a change, changed, and removed, as its users' playbooks do. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { environmentOf, succeed } from '../support/clients.ts'
import { type Kms, startKms } from '../support/kms.ts'
import { sdk } from '../support/sdk.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-ansible-'))
let kms: Kms
before(async () => {
  kms = await startKms()
})
after(async () => {
  await kms?.stop()
  rmSync(folder, { recursive: true, force: true })
})

test('a playbook ends as it should, and left what it says', async () => {
  const env = {
    ...environmentOf(kms),
    ANSIBLE_HOME: folder,
    ANSIBLE_LOCALHOST_WARNING: 'False',
    ANSIBLE_INVENTORY_UNPARSED_WARNING: 'False',
    HOLDFAST_ENDPOINT: kms.line.endpoint,
  }
  const playbook = join(import.meta.dirname, 'ansible', 'kms-key.yaml')
  const output = await succeed('ansible-playbook', ['-i', 'localhost,', playbook], env, folder)
  assert.match(output, /failed=0/)
  const client = sdk(kms.line.endpoint, kms.line)
  const { KeyMetadata } = await client.describeKey({ KeyId: 'alias/by-ansible' })
  assert.equal(KeyMetadata?.KeyState, 'PendingDeletion')
  assert.equal(KeyMetadata?.Description, 'made by a playbook, changed')
  const { KeyRotationEnabled } = await client.getKeyRotationStatus({ KeyId: KeyMetadata?.KeyId })
  assert.equal(KeyRotationEnabled, false)
})
