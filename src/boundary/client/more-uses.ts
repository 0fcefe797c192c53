/** The uses of keys that are not symmetric, and of data key pairs: each is one request of the use socket. */
import type { Asserted } from '../words.ts'
import type { BoundaryUse, KeyRow } from './api.ts'
import type { InputOf, OperationName, OutputOf } from './protocol/operations.ts'
import { asAsserted, refTo } from './references.ts'

/** Does one use of a key; called once, and once more with `whole` where the boundary has not opened the key. */
export type Use = <N extends OperationName>(name: N, input: (whole: boolean) => InputOf<N>) => Promise<OutputOf<N>>

type More =
  | 'asymmetricEncrypt'
  | 'asymmetricDecrypt'
  | 'generateDataKeyPair'
  | 'sign'
  | 'verify'
  | 'generateMac'
  | 'verifyMac'
  | 'deriveSharedSecret'
  | 'encapsulate'
  | 'decapsulate'
  | 'externalWrap'
  | 'externalUnwrap'
  | 'externalDigest'
  | 'externalPrivateKey'

export function moreUses(use: Use): Pick<BoundaryUse, More> {
  /** `parts`: the request without its key and asserted fields. */
  const ofKey = async <N extends More>(
    name: N,
    key: KeyRow,
    asserted: Asserted,
    parts: Omit<InputOf<N>, 'key' | 'asserted'>,
  ): Promise<OutputOf<N>> => {
    const sent = asAsserted(asserted)
    return use(name, whole => ({ ...parts, key: refTo(key, whole), asserted: sent }) as unknown as InputOf<N>)
  }
  return {
    asymmetricEncrypt: (key, algorithm, plaintext, asserted) =>
      ofKey('asymmetricEncrypt', key, asserted, { algorithm, plaintext }),
    asymmetricDecrypt: (key, algorithm, ciphertext, asserted, recipient, dryRun = false) =>
      ofKey('asymmetricDecrypt', key, asserted, { algorithm, ciphertext, dryRun, recipient }),
    generateDataKeyPair: (key, spec, wantPlaintext, context, asserted, recipient) =>
      ofKey('generateDataKeyPair', key, asserted, { spec, wantPlaintext, context, recipient }),
    sign: (key, input, asserted) => ofKey('sign', key, asserted, input),
    verify: (key, input, signature, dryRun, asserted) =>
      ofKey('verify', key, asserted, { ...input, signature, dryRun }),
    generateMac: (key, algorithm, message, asserted) => ofKey('generateMac', key, asserted, { algorithm, message }),
    verifyMac: (key, algorithm, message, mac, dryRun, asserted) =>
      ofKey('verifyMac', key, asserted, { algorithm, message, mac, dryRun }),
    deriveSharedSecret: (key, publicKey, asserted, recipient) =>
      ofKey('deriveSharedSecret', key, asserted, { publicKey, recipient }),
    encapsulate: (key, asserted) => ofKey('encapsulate', key, asserted, {}),
    decapsulate: (key, ciphertext, asserted) => ofKey('decapsulate', key, asserted, { ciphertext }),
    externalWrap: (key, algorithm, plaintext, asserted) =>
      ofKey('externalWrap', key, asserted, { algorithm, plaintext }),
    externalUnwrap: (key, algorithm, wrapped, version, asserted) =>
      ofKey('externalUnwrap', key, asserted, { algorithm, wrapped, version }),
    externalDigest: (key, ciphertext, aad, message, asserted) =>
      ofKey('externalDigest', key, asserted, { ciphertext, aad, message }),
    externalPrivateKey: (key, ciphertext, aad, work, asserted) =>
      ofKey('externalPrivateKey', key, asserted, { ciphertext, aad, ...work }),
  }
}
