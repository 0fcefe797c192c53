/**
 * Operations whose algorithm costs something by itself, each beside the same algorithm in a bare loop: what is left over is the whole path's own, and is
 * to be no more than Encrypt's whole path.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { constants, createHmac, generateKeyPairSync, generateKeySync, sign } from 'node:crypto'
import { join } from 'node:path'
import type { Row, Target } from './measure.ts'

const MESSAGE = Buffer.alloc(32, 7)

export interface Algorithm {
  readonly name: string
  /** Of CreateKey. */
  readonly key: object
  readonly operation: string
  /** Beside the key's id. */
  readonly input: object
  /** Divides the count of a round, for what is slow. */
  readonly slowness: number
  /** Makes a key, and gives what is done with it. */
  readonly bare: () => () => Buffer
}

const Message = MESSAGE.toString('base64')

export const ALGORITHMS: readonly Algorithm[] = [
  {
    name: 'GenerateMac HMAC_256',
    key: { KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' },
    operation: 'GenerateMac',
    input: { Message, MacAlgorithm: 'HMAC_SHA_256' },
    slowness: 1,
    bare: () => {
      const secret = generateKeySync('hmac', { length: 256 })
      return () => createHmac('sha256', secret).update(MESSAGE).digest()
    },
  },
  {
    name: 'Sign ECC_NIST_P256',
    key: { KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' },
    operation: 'Sign',
    input: { Message, SigningAlgorithm: 'ECDSA_SHA_256' },
    slowness: 1,
    bare: () => {
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
      return () => sign('sha256', MESSAGE, privateKey)
    },
  },
  {
    name: 'Sign RSA_2048, PSS',
    key: { KeySpec: 'RSA_2048', KeyUsage: 'SIGN_VERIFY' },
    operation: 'Sign',
    input: { Message, SigningAlgorithm: 'RSASSA_PSS_SHA_256' },
    slowness: 4,
    bare: () => {
      const { privateKey: key } = generateKeyPairSync('rsa', { modulusLength: 2048 })
      const options = { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
      return () => sign('sha256', MESSAGE, options)
    },
  },
]

const bareName = (name: string): string => `${name}, bare loop`

/** The process that does nothing but the algorithms. */
export class BareLoops {
  readonly #child: ChildProcess = fork(join(import.meta.dirname, 'bare.ts'))

  target({ name, slowness }: Algorithm, count: number): Target {
    return {
      name: bareName(name),
      measure: async () => {
        const job: BareJob = { name, count: Math.ceil(count / slowness) }
        const told = new Promise<number>(resolve => this.#child.once('message', resolve))
        this.#child.send(job)
        return { frontEnd: await told, boundary: 0, p50: undefined, p99: undefined }
      },
    }
  }

  stop(): void {
    this.#child.disconnect()
  }
}

/** Answered with µs of CPU for one run. */
export interface BareJob {
  readonly name: string
  readonly count: number
}

export interface Compared {
  readonly name: string
  /** µs of CPU of the algorithm, and of the whole path; what the path costs beside it, and what Encrypt's whole path costs. */
  readonly algorithm: number
  readonly wholePath: number
  readonly difference: number
  readonly encrypt: number
  /** The same of Encrypt as seldom as a slow algorithm is done: fewer requests share a turn of each process, and a commit. */
  readonly seldom: number
}

/** Of what was measured, each algorithm with its whole path. `encrypt` and `seldom` are the names of Encrypt's rows. */
export function compared(rows: readonly Row[], encrypt: string, seldom: string): Compared[] {
  const cpuOf = (name: string) => rows.find(row => row.name === name)?.cpu ?? Number.NaN
  return ALGORITHMS.map(({ name }) => {
    const [algorithm, wholePath] = [cpuOf(bareName(name)), cpuOf(name)]
    return {
      name,
      algorithm,
      wholePath,
      difference: wholePath - algorithm,
      encrypt: cpuOf(encrypt),
      seldom: cpuOf(seldom),
    }
  }).filter(({ difference }) => !Number.isNaN(difference))
}
