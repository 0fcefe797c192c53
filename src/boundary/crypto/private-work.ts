/** Private operations that take a millisecond or two, and who does them: the threads of the service, or whoever has the time. */
import type { KeyObject } from 'node:crypto'
import type { MessageType, SigningAlgorithm } from '../algorithms.ts'
import { type Padding, rsaDecrypt } from './oaep.ts'
import type { Pair } from './pairs.ts'
import { sign } from './signing.ts'

export interface PrivateWork {
  /** The message has been checked. */
  sign(pair: Pair, algorithm: SigningAlgorithm, type: MessageType, message: Buffer): Promise<Buffer>
  /** InvalidCiphertext, always the same, whatever is wrong. */
  rsaDecrypt(privateKey: KeyObject, padding: Padding, ciphertext: Buffer): Promise<Buffer>
}

/** On the calling thread. */
export const HERE: PrivateWork = {
  sign: async (...work) => sign(...work),
  rsaDecrypt: async (...work) => rsaDecrypt(...work),
}
