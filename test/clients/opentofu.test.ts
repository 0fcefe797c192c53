/** OpenTofu: state and plan encrypted under a data key of this KMS, and unreadable once the key is disabled. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { environmentOf, run, succeed } from '../support/clients.ts'
import { type Kms, REGION, startKms } from '../support/kms.ts'
import { newKey, sdk } from '../support/sdk.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-opentofu-'))
let kms: Kms
before(async () => {
  kms = await startKms()
})
after(async () => {
  await kms?.stop()
  rmSync(folder, { recursive: true, force: true })
})

const configuration = (arn: string, secret: string): string => `
terraform {
  encryption {
    key_provider "aws_kms" "holdfast" {
      kms_key_id = "${arn}"
      region     = "${REGION}"
      key_spec   = "AES_256"
    }
    method "aes_gcm" "by_kms" {
      keys = key_provider.aws_kms.holdfast
    }
    state {
      method   = method.aes_gcm.by_kms
      enforced = true
    }
    plan {
      method   = method.aes_gcm.by_kms
      enforced = true
    }
  }
}
resource "terraform_data" "kept" {
  input = "${secret}"
}
output "kept" {
  value = terraform_data.kept.output
}
`

test('plan, apply, read again; neither file holds the secret; no key, no state', async () => {
  const env = { ...environmentOf(kms), TF_IN_AUTOMATION: '1', CHECKPOINT_DISABLE: '1' }
  const client = sdk(kms.line.endpoint, kms.line)
  const key = await newKey(client)
  const tofu = (...args: string[]) => succeed('tofu', args, env, folder)
  const secret = 'state that is nobody else’s'
  writeFileSync(join(folder, 'main.tf'), configuration(key.arn, secret))

  await tofu('init', '-input=false', '-no-color')
  await tofu('plan', '-input=false', '-no-color', '-out=plan')
  await tofu('apply', '-input=false', '-no-color', 'plan')
  assert.equal((await tofu('output', '-raw', 'kept')).trim(), secret)
  for (const name of ['plan', 'terraform.tfstate']) {
    const bytes = readFileSync(join(folder, name))
    assert.ok(bytes.length > 100, name)
    assert.ok(!bytes.includes(secret), name)
  }
  assert.ok(JSON.parse(readFileSync(join(folder, 'terraform.tfstate'), 'utf8')).encrypted_data)

  await client.disableKey({ KeyId: key.id })
  const closed = await run('tofu', ['output', '-no-color', '-raw', 'kept'], env, folder)
  assert.notEqual(closed.status, 0)
  assert.match(closed.stderr, /DisabledException/)
  await client.enableKey({ KeyId: key.id })
  assert.equal((await tofu('output', '-raw', 'kept')).trim(), secret)
})
