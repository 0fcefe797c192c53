/**
 * The form in which the XKS proxy that AWS published as a sample (aws-samples/aws-kms-xks-proxy) encrypts: AES-256-GCM as the protocol wants it, with a digest of the caller's
 * additional data where the protocol has the data. Read only. See docs/formats/external.md.
 */
import { createHash } from 'node:crypto'
import { BoundaryError } from '../words.ts'

/**
 * GCM's additional data: u16 length of `aad` ‖ SHA-256(`aad`) ‖ u8 length of `metadata` ‖ metadata, and no digest where the request had no additional data.
 * That and additional data of length 0 are the same here, so both of them are answered then.
 */
export function xksProxyAadBytes(aad: Buffer, metadata: Buffer): readonly Buffer[] {
  if (aad.length > 0xffff || metadata.length > 0xff)
    throw new BoundaryError('InvalidRequest', 'additional data or metadata is too long')
  const length = Buffer.alloc(2)
  length.writeUInt16BE(aad.length)
  const rest = [Buffer.from([metadata.length]), metadata]
  const digested = Buffer.concat([length, createHash('sha256').update(aad).digest(), ...rest])
  return aad.length === 0 ? [Buffer.concat([length, ...rest]), digested] : [digested]
}
