/**
 * AES-GCM of 32 bytes in SoftHSM2 in a bare loop, in a process that does nothing else: the token's own cost, with what it takes to call it from here. Told
 * over the message channel how often.
 */
import { readPin } from '../../src/boundary/pkcs11/pin.ts'
import { openToken } from '../../src/boundary/pkcs11/token.ts'
import { cpuOf } from '../cpu.ts'

const [, , module = '', label = '', pinVariable = ''] = process.argv
const token = await openToken({ module, token: { label }, pin: readPin({ environment: pinVariable }) })
const { ref } = await token.generateKey('loop', Buffer.from([1]), { encrypt: true, decrypt: true })
const plaintext = Buffer.alloc(32, 7)
const aad = Buffer.alloc(64, 1)
const iv = Buffer.alloc(12)
let used = 0

process.on('message', async (count: number) => {
  const before = cpuOf(process.pid)
  for (let left = count; left > 0; left--) {
    iv.writeUInt32BE(++used)
    await token.gcmEncrypt(ref, iv, aad, plaintext)
  }
  process.send?.((cpuOf(process.pid) - before) / 1000 / count)
})
process.on('disconnect', () => void token.close().then(() => process.exit(0)))
process.send?.('ready')
