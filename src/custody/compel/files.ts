/**
 * The provider's files: reading what their headers say in the clear, and decrypting one with a data key that some route gave. A file counts as opened
 * only where its plaintext has the SHA-256 that its owner took.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import {
  type EncryptedDataKey,
  KeyringNode,
  KeyringTraceFlag,
  type NodeDecryptionMaterial,
  type NodeEncryptionMaterial,
} from '@aws-crypto/client-node'
import { sdk } from '../data-service/envelope.ts'
import { objectFile } from '../data-service/server.ts'
import type { CustodyPlan, FilePlan, ModelPlan } from '../plan.ts'
import { RouteFailure, type SealedFile } from './route.ts'

type Unwrap = (encryptedDataKey: Buffer, context: Record<string, string>) => Promise<Buffer>

/** A keyring that opens data keys in whatever way it is given. */
class UnwrapKeyring extends KeyringNode {
  readonly #unwrap: Unwrap

  constructor(unwrap: Unwrap) {
    super()
    this.#unwrap = unwrap
  }

  async _onEncrypt(_material: NodeEncryptionMaterial): Promise<NodeEncryptionMaterial> {
    throw new RouteFailure('NotSupported', 'A compelled provider only opens.')
  }

  async _onDecrypt(material: NodeDecryptionMaterial, keys: EncryptedDataKey[]): Promise<NodeDecryptionMaterial> {
    const first = keys[0]
    if (first === undefined) throw new RouteFailure('NoDataKey', 'The file names no encrypted data key.')
    const dataKey = await this.#unwrap(Buffer.from(first.encryptedDataKey), { ...material.encryptionContext })
    // The SDK takes only bytes that share their memory with nothing else.
    return material.setUnencryptedDataKey(new Uint8Array(dataKey), {
      keyNamespace: 'custody',
      keyName: 'compel',
      flags: KeyringTraceFlag.WRAPPING_KEY_DECRYPTED_DATA_KEY,
    })
  }
}

async function decrypt(path: string, unwrap: Unwrap): Promise<string> {
  const hash = createHash('sha256')
  const stream = sdk.decryptUnsignedMessageStream(new UnwrapKeyring(unwrap))
  await pipeline(createReadStream(path), stream as unknown as NodeJS.ReadWriteStream, async plain => {
    for await (const chunk of plain) hash.update(chunk)
  })
  return hash.digest('hex')
}

/** Reads a file's header, which is authenticated only once the file is decrypted. Rejects where the file is missing or is no message. */
export async function sealedFile(plan: CustodyPlan, model: ModelPlan, file: FilePlan): Promise<SealedFile> {
  const path = objectFile(plan.dataService.folder, model.bucket, file.name)
  let found: { encryptedDataKey: Buffer; context: [string, string][] } | undefined
  await decrypt(path, async (encryptedDataKey, context) => {
    found = { encryptedDataKey, context: Object.entries(context) }
    throw new RouteFailure('HeaderRead', 'Only the header is read.')
  }).catch((error: unknown) => {
    if (found === undefined) throw error
  })
  if (found === undefined) throw new RouteFailure('NoDataKey', 'The file names no encrypted data key.')
  return { plan: file, bucket: model.bucket, path, ...found }
}

/** Decrypts with this data key. Rejects where it is not the one, or where the plaintext is not what the owner handed over. */
export async function openWith(dataKey: Buffer, file: SealedFile): Promise<void> {
  const sha256 = await decrypt(file.path, async () => dataKey)
  if (sha256 !== file.plan.sha256) throw new RouteFailure('WrongPlaintext', 'The plaintext is not what was stored.')
}
