/** CiphertextForRecipient opened by a program that is not ours: the openssl command. */
import { spawnSync } from 'node:child_process'
import type { KeyObject } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The plaintext, or an error with what openssl said. */
export function opensslDecrypt(message: Buffer, privateKey: KeyObject): Buffer {
  return openssl(['-decrypt', '-inform', 'DER', '-inkey'], message, privateKey)
}

/** openssl's own description of the message. */
export function opensslPrint(message: Buffer): string {
  return openssl(['-cmsout', '-print', '-inform', 'DER'], message).toString()
}

function openssl(args: readonly string[], input: Buffer, key?: KeyObject): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-cms-'))
  try {
    const file = join(folder, 'key.pem')
    if (key !== undefined) writeFileSync(file, key.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 })
    const { status, stdout, stderr } = spawnSync('openssl', ['cms', ...args, ...(key === undefined ? [] : [file])], {
      input,
    })
    if (status !== 0) throw new Error(`openssl cms: ${stderr}`)
    return stdout
  } finally {
    rmSync(folder, { recursive: true })
  }
}
