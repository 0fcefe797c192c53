/**
 * The owner's proxy as a compelled provider reaches it: with its stored credential and its client certificate, outside its KMS and therefore without
 * whatever its KMS would have checked first.
 */
import { createHash, randomUUID } from 'node:crypto'
import { encodeContext } from '../../boundary/crypto/context.ts'
import { blobKind, type Envelope, externalAad, parseEnvelope } from '../../boundary/crypto/envelope.ts'
import { signRequest } from '../../http/sigv4-sign.ts'
import { SERVICE } from '../../kms/stores/client.ts'
import { decryptRequest, readDecryptAnswer } from '../../kms/stores/protocol.ts'
import { configuredRoute, Transport } from '../../kms/stores/transport.ts'
import { Secret } from '../../store/secret.ts'
import type { CustodyPlan } from '../plan.ts'
import type { Holdings } from './holdings.ts'
import { RouteFailure, type SealedFile } from './route.ts'

export type Xks = NonNullable<NonNullable<CustodyPlan['provider']>['xks']>

/** A request as it went over the wire: repeated byte for byte, it is the same request. */
export interface SignedRequest {
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

/** Longer than a KMS waits: a compelled provider is in no hurry. */
const DEADLINE_MS = 5000
const CONNECTIONS = 8

export const digestOf = (encryptedDataKey: Buffer): string =>
  createHash('sha256').update(encryptedDataKey).digest('hex')

/** The envelope of a file under an owner's key; rejects for every other file. */
export function envelopeOf(file: SealedFile): Envelope {
  if (blobKind(file.encryptedDataKey) !== 'envelope')
    throw new RouteFailure('NoOwnersLayer', 'This file’s data key is not under a key at the owner.')
  return parseEnvelope(file.encryptedDataKey)
}

export class ProxyAccess {
  readonly #xks: Xks
  readonly #region: string
  readonly #holdings: Holdings
  readonly #transports = new Map<string, Transport>()

  /** `holdings`: where the key store's host name and the provider's own layer are looked up. */
  constructor(xks: Xks, region: string, holdings: Holdings) {
    this.#xks = xks
    this.#region = region
    this.#holdings = holdings
  }

  /** A new request to decrypt this file's data key, signed now. */
  async request(file: SealedFile, keyArn: string): Promise<SignedRequest> {
    const { keyId, materialId, iv, tag, metadata, ciphertext } = envelopeOf(file)
    const { header } = await this.#holdings.key(keyId)
    const { account, keyStoreId } = header
    const aad = externalAad({ account, keyId, materialId, context: encodeContext(file.context) })
    const body = decryptRequest({ iv, tag, metadata, ciphertext, integrityValue: undefined }, aad, {
      principalArn: `arn:aws:iam::${account}:root`,
      keyArn,
      operation: 'Decrypt',
      requestId: randomUUID(),
      viaService: '',
    })
    const { path: uriPath, key, credential } = this.#xks
    const path = `${uriPath}/keys/${key}/decrypt`
    const host = await this.#holdings.proxyHost(keyStoreId)
    const secret = new Secret(Buffer.from(credential.secretAccessKey, 'utf8'))
    const signer = { accessKeyId: credential.accessKeyId, secret }
    const headers = signRequest({ method: 'POST', path, host, body }, signer, SERVICE, this.#region, Date.now())
    return { path, headers: { ...headers }, body }
  }

  /** Sends a request and opens the provider's layer in the answer: the data key. Rejects with `XksFailure`, which has the proxy's own error name. */
  async send({ path, headers, body }: SignedRequest, file: SealedFile): Promise<Buffer> {
    const answer = await this.#transport(headers.host ?? '').post(path, headers, body, DEADLINE_MS)
    const message = readDecryptAnswer(answer, envelopeOf(file).ciphertext.length)
    return this.#holdings.openMessage(message, file)
  }

  /** The certificate must bear the name that the customer gave; where that name is reached is the provider's own affair. */
  #transport(host: string): Transport {
    const known = this.#transports.get(host)
    if (known) return known
    const { uri, ca, cert, privateKey } = this.#xks
    const { hostname, port } = new URL(uri)
    const route = configuredRoute({
      connect: `${hostname}:${port || 443}`,
      caFile: ca,
      certificateFile: cert,
      keyFile: privateKey,
    })
    const made = new Transport(host.replace(/:\d+$/, ''), route, CONNECTIONS)
    this.#transports.set(host, made)
    return made
  }

  async close(): Promise<void> {
    for (const transport of this.#transports.values()) transport.close()
    await this.#holdings.close()
  }
}
