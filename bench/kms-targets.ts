/** What is asked of a KMS. */
import type { Algorithm } from './algorithms.ts'
import type { Loader } from './loader.ts'
import { CONNECTIONS, type Row, served, type Target } from './measure.ts'
import type { Measured, Signer } from './services.ts'

const PLAINTEXT = Buffer.alloc(32, 7).toString('base64')
/** Requests that are signed for a round; more are the same again. Fewer would make keys that are asked for at random into keys that come again within the second. */
const MOST_REQUESTS = 12_000
/** About as often as one thread signs with RSA-2048. */
const SELDOM = 2_000

/** Makes keys through the API, as many at once as there are connections. Answers the ids of all keys. */
export async function makeManyKeys(
  loader: Loader,
  kms: Measured,
  count: number,
  say: (text: string) => void,
  input: object = {},
): Promise<string[]> {
  for (let made = 0; made < count; made += 10_000) {
    // Signed anew: on a slow machine making them all takes longer than a signature is good for.
    const create = kms.sign({ path: '/', target: 'CreateKey', body: JSON.stringify(input) })
    const result = await loader.run({
      port: kms.port,
      requests: [create],
      count: Math.min(10_000, count - made),
      connections: CONNECTIONS,
      from: 0,
    })
    if (result.failed > 0) throw new Error(`CreateKey: ${result.firstFailure}`)
    say(`  ${Math.min(made + 10_000, count)} of ${count} keys`)
  }
  const ids: string[] = []
  for (let Marker: unknown; ; ) {
    const page = await kms.call('ListKeys', { Limit: 1000, ...(Marker === undefined ? {} : { Marker }) })
    ids.push(...(page.Keys as { KeyId: string }[]).map(key => key.KeyId))
    Marker = page.NextMarker
    if (page.Truncated !== true) return ids
  }
}

/** Ten keys, and their ids. */
export function makeKeys(kms: Measured, input: object = {}): Promise<string[]> {
  const make = async () => ((await kms.call('CreateKey', input)).KeyMetadata as { KeyId: string }).KeyId
  return Promise.all(Array.from({ length: 10 }, make))
}

/** Deterministic choice of keys: the same run asks for the same ones. */
export function picker(ids: readonly string[]): () => string {
  let state = 12_345
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return ids[state % ids.length] as string
  }
}

interface Asked {
  readonly name: string
  readonly operation: string
  /** Input of one request. */
  readonly input: () => object
  readonly count: number
  readonly perSecond?: number
}

/** One operation with the credential of the service's line of JSON, or with another. */
function asked(loader: Loader, kms: Measured, { operation, input, ...asked }: Asked, by?: Signer): Target {
  const request = () => kms.sign({ path: '/', target: operation, body: JSON.stringify(input()) }, by)
  return served(loader, {
    ...{ ...asked, port: kms.port, frontEnd: [kms.frontEnd], boundary: [kms.boundary] },
    requests: () => Array.from({ length: Math.min(asked.count, MOST_REQUESTS) }, request),
  })
}

/** Name of Encrypt's row under a label. */
export const encryptName = (label: string): string => `Encrypt 32 B, ${label}`

export function encryptTarget(
  loader: Loader,
  kms: Measured,
  pick: () => string,
  label: string,
  count: number,
  by?: Signer,
): Target {
  const input = () => ({ KeyId: pick(), Plaintext: PLAINTEXT })
  return asked(loader, kms, { name: encryptName(label), operation: 'Encrypt', input, count }, by)
}

export const SELDOM_ROW = encryptName(`${SELDOM} a second`)

/** Encrypt as seldom as an operation that takes long is done: fewer requests share a turn of each process, and a commit. */
export function seldomTarget(loader: Loader, kms: Measured, ids: readonly string[], count: number): Target {
  const pick = picker(ids)
  const input = () => ({ KeyId: pick(), Plaintext: PLAINTEXT })
  return asked(loader, kms, {
    name: SELDOM_ROW,
    operation: 'Encrypt',
    input,
    count: Math.ceil(count / 4),
    perSecond: SELDOM,
  })
}

/** Names of the rows of `symmetricTargets`. */
export const symmetricNames = (label: string): readonly [string, string, string] => [
  encryptName(label),
  `Decrypt 32 B, ${label}`,
  `GenerateDataKey 32 B, ${label}`,
]

/** Encrypt, Decrypt and GenerateDataKey. */
export async function symmetricTargets(
  loader: Loader,
  kms: Measured,
  ids: readonly string[],
  label: string,
  count: number,
  by?: Signer,
): Promise<Target[]> {
  const pick = picker(ids)
  const ciphertexts: unknown[] = []
  for (let index = 0; index < Math.min(ids.length, 500); index++)
    ciphertexts.push((await kms.call('Encrypt', { KeyId: pick(), Plaintext: PLAINTEXT })).CiphertextBlob)
  let next = 0
  const decrypt = () => ({ CiphertextBlob: ciphertexts[next++ % ciphertexts.length] })
  const generate = () => ({ KeyId: pick(), NumberOfBytes: 32 })
  const [, decryptName, generateName] = symmetricNames(label)
  return [
    encryptTarget(loader, kms, pick, label, count, by),
    asked(loader, kms, { name: decryptName, operation: 'Decrypt', input: decrypt, count }, by),
    asked(loader, kms, { name: generateName, operation: 'GenerateDataKey', input: generate, count }, by),
  ]
}

/**
 * Uses each key once, in an order that has nothing to do with theirs, so that what is measured afterwards is a service that has run for a while: the row is
 * of these first uses, each of which takes the sealed key along and opens it.
 */
export async function firstUses(
  loader: Loader,
  kms: Measured,
  ids: readonly string[],
  label: string,
  say: (text: string) => void,
): Promise<Row> {
  const mixed = ids.toSorted((a, b) => (a.slice(-12) < b.slice(-12) ? -1 : 1))
  const sum = { frontEnd: 0, boundary: 0 }
  for (let from = 0; from < mixed.length; from += MOST_REQUESTS) {
    const some = mixed.slice(from, from + MOST_REQUESTS)
    const { frontEnd, boundary } = await encryptTarget(loader, kms, inTurn(some), label, some.length).measure(0)
    sum.frontEnd += frontEnd * some.length
    sum.boundary += boundary * some.length
    if ((from / MOST_REQUESTS) % 2 === 1) say(`  ${from + some.length} of ${mixed.length} keys used once`)
  }
  const frontEnd = sum.frontEnd / mixed.length
  const boundary = sum.boundary / mixed.length
  const name = encryptName(`${label}, first use of each`)
  return { name, cpu: frontEnd + boundary, frontEnd, boundary, p50: undefined, p99: undefined }
}

function inTurn(ids: readonly string[]): () => string {
  let next = 0
  return () => ids[next++ % ids.length] as string
}

/** The whole path of an algorithm, with ten keys. */
export async function algorithmTarget(
  loader: Loader,
  kms: Measured,
  { name, key, operation, input, slowness }: Algorithm,
  count: number,
): Promise<Target> {
  const pick = picker(await makeKeys(kms, key))
  const one = () => ({ KeyId: pick(), ...input })
  return asked(loader, kms, { name, operation, input: one, count: Math.ceil(count / slowness) })
}
