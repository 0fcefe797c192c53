/**
 * The four operations of the XKS proxy API v1: from members of a body to a call of the core, and from its answer to the reply. Base64 needs no
 * escaping, so the two answers of the hot path are put together as text.
 */
import pkg from '../../../../package.json' with { type: 'json' }
import type { Reply } from '../../../http/types.ts'
import type { Call, Core } from '../../core.ts'
import { jsonReply } from './errors.ts'
import { parseDecrypt, parseEncrypt } from './request.ts'
import type { XksOperation } from './route.ts'

type Operation = (core: Core, call: Call, members: Readonly<Record<string, unknown>>) => Promise<Reply>

const JSON_HEADERS = { 'Content-Type': 'application/json' }
const VENDOR = 'Holdfast'

const health: Operation = async (core, call) => {
  const found = await core.health(call)
  return jsonReply({
    xksProxyFleetSize: 1,
    xksProxyVendor: VENDOR,
    xksProxyModel: `Holdfast ekm ${pkg.version}`,
    ekmVendor: VENDOR,
    ekmFleetDetails: [
      {
        id: found.boundaryId,
        model: `Holdfast boundary ${found.version} (root of trust: ${found.rootKind})`,
        // An answer rather than an error: AWS counts the states that it is told ("GetHealthStatus").
        healthStatus: found.ok ? 'ACTIVE' : 'UNAVAILABLE',
      },
    ],
  })
}

const metadata: Operation = async (core, call) => {
  const key = await core.describe(call)
  const keyUsage = [...(key.mayEncrypt ? ['ENCRYPT'] : []), ...(key.mayDecrypt ? ['DECRYPT'] : [])]
  return jsonReply({ keySpec: 'AES_256', keyUsage, keyStatus: key.enabled ? 'ENABLED' : 'DISABLED' })
}

const encrypt: Operation = async (core, call, members) => {
  const { plaintext, aad, integrity } = parseEncrypt(members)
  const result = await core.encrypt(call, plaintext, aad, integrity)
  const value = result.integrityValue
  return {
    status: 200,
    headers: JSON_HEADERS,
    body:
      `{"authenticationTag":"${result.tag.toString('base64')}"` +
      `,"ciphertext":"${result.ciphertext.toString('base64')}"` +
      (value === undefined ? '' : `,"ciphertextDataIntegrityValue":"${value.toString('base64')}"`) +
      (result.metadata.length === 0 ? '' : `,"ciphertextMetadata":"${result.metadata.toString('base64')}"`) +
      `,"initializationVector":"${result.iv.toString('base64')}"}`,
  }
}

const decrypt: Operation = async (core, call, members) => {
  const { aad, ...ciphertext } = parseDecrypt(members)
  const plaintext = await core.decrypt(call, { ...ciphertext, integrityValue: undefined }, aad)
  const body = `{"plaintext":"${plaintext.toString('base64')}"}`
  plaintext.fill(0)
  return { status: 200, headers: JSON_HEADERS, body }
}

export const OPERATIONS: Readonly<Record<XksOperation, Operation>> = { health, metadata, encrypt, decrypt }
