/**
 * The four operations of the EKM proxy API 0.1-preview: from members of a body to a call of the core, and from its answer to the reply. Base64url needs no
 * escaping, so the answers of the hot path are put together as text.
 */
import { createPublicKey } from 'node:crypto'
import pkg from '../../../../package.json' with { type: 'json' }
import type { ExternalSpec } from '../../../boundary/algorithms.ts'
import type { Reply } from '../../../http/types.ts'
import type { Call, Core } from '../../core.ts'
import type { Members } from '../members.ts'
import { JSON_HEADERS, jsonReply } from './errors.ts'
import { MAX_VALUE, MAX_WRAPPED, parseKeyOperation } from './request.ts'
import { API_VERSION, type AzureOperation } from './route.ts'

type Operation = (core: Core, call: Call, members: Members) => Promise<Reply>

const VENDOR = 'Holdfast'
/** The same for every key ("KeyMetadata"). One that is not for both refuses the other when it is asked to. */
const KEY_OPS = ['wrapKey', 'unwrapKey']
const KEY_TYPES: Readonly<Record<ExternalSpec, { readonly key_type: 'oct' | 'RSA'; readonly key_size: number }>> = {
  EXTERNAL_AES_256: { key_type: 'oct', key_size: 256 },
  RSA_2048: { key_type: 'RSA', key_size: 2048 },
  RSA_3072: { key_type: 'RSA', key_size: 3072 },
  RSA_4096: { key_type: 'RSA', key_size: 4096 },
}

/** Also the provider's health monitor, some three times a minute: it has no word for a key manager that is not well but a refusal. */
const info: Operation = async (core, call) => {
  const found = await core.health(call, { onlyWell: true })
  return jsonReply({
    api_version: API_VERSION,
    proxy_vendor: VENDOR,
    proxy_name: `Holdfast ekm ${pkg.version}`,
    ekm_vendor: VENDOR,
    ekm_product: `Holdfast boundary ${found.version} (root of trust: ${found.rootKind})`,
  })
}

const metadata: Operation = async (core, call) => {
  const { spec, publicKey } = await core.describe(call, { onlyEnabled: true })
  return jsonReply({
    ...KEY_TYPES[spec],
    key_ops: KEY_OPS,
    ...(publicKey.length === 0 ? {} : publicNumbers(publicKey)),
  })
}

/** A JWK has them as this API does: unsigned, big-endian, as short as they are, base64url (RFC 7518 §6.3.1). */
function publicNumbers(spki: Buffer): { n: string; e: string } {
  const { n = '', e = '' } = createPublicKey({ key: spki, format: 'der', type: 'spki' }).export({ format: 'jwk' })
  return { n, e }
}

const wrapkey: Operation = async (core, call, members) => {
  const { algorithm, value } = parseKeyOperation(members, MAX_VALUE)
  const { wrapped } = await core.wrap(call, algorithm, value).finally(() => value.fill(0))
  return { status: 200, headers: JSON_HEADERS, body: `{"value":"${wrapped.toString('base64url')}"}` }
}

const unwrapkey: Operation = async (core, call, members) => {
  const { algorithm, value } = parseKeyOperation(members, MAX_WRAPPED)
  // An external key id names no version, and neither does what was wrapped.
  const plaintext = await core.unwrap(call, algorithm, value, 0)
  const body = `{"value":"${plaintext.toString('base64url')}"}`
  plaintext.fill(0)
  return { status: 200, headers: JSON_HEADERS, body }
}

export const OPERATIONS: Readonly<Record<AzureOperation, Operation>> = { info, metadata, wrapkey, unwrapkey }
