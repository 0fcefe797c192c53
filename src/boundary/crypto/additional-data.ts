/**
 * What a ciphertext is bound to, encoded with lengths: version, account, key id, material id, purpose, encryption context. Never Region or ARN, so
 * that a multi-Region key's messages open in every Region. See docs/formats/message.md, "Additional data".
 */
import { hash } from 'node:crypto'
import { Writer } from '../bytes.ts'
import { keyIdBytes, materialIdBytes } from './ids.ts'

/** What a ciphertext is for. One of Encrypt opens as one of GenerateDataKey does, so both are messages. */
export type MessagePurpose = 'message' | 'envelope'

/** The additional data up to the encryption context: the same for every message of one material. */
export function boundData(
  version: number,
  of: { account: string; keyId: string; materialId: string },
  purpose: MessagePurpose,
): Buffer {
  return new Writer(160)
    .u8(version)
    .string(of.account)
    .short(keyIdBytes(of.keyId))
    .short(materialIdBytes(of.materialId))
    .string(purpose)
    .done()
}

/** Hashing is synchronous, so one buffer serves all but those with a large context. */
const scratch = Buffer.allocUnsafeSlow(1024)

/** SHA-256 of the additional data, with the canonical encryption context at its end: 32 bytes. */
export function digestWith(bound: Buffer, context: Buffer): Buffer {
  const length = bound.length + 4 + context.length
  const bytes = length > scratch.length ? Buffer.allocUnsafe(length) : scratch.subarray(0, length)
  bytes.set(bound)
  bytes.writeUInt32BE(context.length, bound.length)
  bytes.set(context, bound.length + 4)
  return Buffer.from(hash('sha256', bytes, 'latin1'), 'latin1')
}
