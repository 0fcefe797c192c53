/**
 * ECDH (SP 800-56A rev. 3, §5.7.1.2) with a peer's public key that comes from a stranger.
 */
import { createPublicKey, diffieHellman, type KeyObject } from 'node:crypto'
import { BoundaryError } from '../words.ts'
import { DerReader, onlySequence, TAG } from './der.ts'

/** The peer's key: DER SPKI with nothing behind it, a point on the named curve of `own`. Throws InvalidPublicKey. */
export function peerKey(own: KeyObject, spki: Buffer): KeyObject {
  const invalid = new BoundaryError('InvalidPublicKey')
  let peer: KeyObject
  try {
    // Curves by name only: id-ecPublicKey, then a name and not a description.
    const algorithm = new DerReader(onlySequence(spki).take(TAG.sequence))
    algorithm.take(TAG.oid)
    algorithm.take(TAG.oid)
    peer = createPublicKey({ key: spki, format: 'der', type: 'spki' })
  } catch {
    throw invalid
  }
  const sameCurve =
    peer.asymmetricKeyType === 'ec' &&
    peer.asymmetricKeyDetails?.namedCurve !== undefined &&
    peer.asymmetricKeyDetails.namedCurve === own.asymmetricKeyDetails?.namedCurve
  if (!sameCurve) throw invalid
  return peer
}

/** The x coordinate, as long as the curve's field. Throws InvalidPublicKey where the peer's key leads to none. */
export function agree(privateKey: KeyObject, publicKey: KeyObject): Buffer {
  try {
    return diffieHellman({ privateKey, publicKey })
  } catch {
    throw new BoundaryError('InvalidPublicKey')
  }
}
