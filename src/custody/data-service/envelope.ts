/**
 * Envelope encryption of the data service: the AWS Encryption SDK over the KMS API, with its caching materials manager.
 * Suite: AES-256-GCM, HKDF-SHA-512, key commitment, no signature; frames of 64 KiB.
 */
import {
  AlgorithmSuiteIdentifier,
  buildClient,
  CommitmentPolicy,
  type EncryptedDataKey,
  getLocalCryptographicMaterialsCache,
  KeyringNode,
  KmsKeyringNode,
  type KmsNodeClientSupplier,
  NodeCachingMaterialsManager,
  type NodeDecryptionMaterial,
  type NodeEncryptionMaterial,
} from '@aws-crypto/client-node'
import { KMS } from '@aws-sdk/client-kms'
import type { KmsAccess } from './config.ts'

export const FRAME_BYTES = 65_536
export const SUITE = AlgorithmSuiteIdentifier.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY

/** The SDK's client for messages without a signature, refusing any message without key commitment. */
export const sdk = buildClient({
  commitmentPolicy: CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
  maxEncryptedDataKeys: 1,
})

/** A KMS client as any user of the API would make one; one try, because a reader wants to see the first answer. */
export function kmsClient(access: KmsAccess, attempts = 1): KMS {
  return new KMS({
    region: access.region,
    endpoint: access.endpoint,
    credentials: { accessKeyId: access.accessKeyId, secretAccessKey: access.secretAccessKey },
    maxAttempts: attempts,
  })
}

/** Called with each data key that the KMS opened, while the provider keeps them. */
export type Keep = (encryptedDataKey: Uint8Array, dataKey: Uint8Array) => void

/**
 * The KMS keyring with an ear: what the KMS hands out passes through the provider's process, and this shows it.
 * It decides nothing; with no listener it is the KMS keyring.
 */
export class ProviderKeyring extends KeyringNode {
  readonly #inner: KmsKeyringNode
  keep: Keep | undefined

  constructor(keyArn: string, client: KMS) {
    super()
    this.#inner = new KmsKeyringNode({
      generatorKeyId: keyArn,
      clientProvider: (() => client) as unknown as KmsNodeClientSupplier,
    })
  }

  async _onEncrypt(material: NodeEncryptionMaterial): Promise<NodeEncryptionMaterial> {
    return this.#inner.onEncrypt(material) as Promise<NodeEncryptionMaterial>
  }

  async _onDecrypt(material: NodeDecryptionMaterial, keys: EncryptedDataKey[]): Promise<NodeDecryptionMaterial> {
    const opened = (await this.#inner.onDecrypt(material, keys)) as NodeDecryptionMaterial
    const first = keys[0]
    if (this.keep && first && opened.hasUnencryptedDataKey)
      this.keep(first.encryptedDataKey, exported(opened.getUnencryptedDataKey()))
    return opened
  }
}

/** The SDK hands out a data key as bytes or as a KeyObject, whichever it made. */
export function exported(key: Uint8Array | { export(): Buffer }): Uint8Array {
  return key instanceof Uint8Array ? key : key.export()
}

/** One bucket: its keyring and the cache of opened data keys in front of it. */
export interface Bucket {
  readonly name: string
  readonly keyring: ProviderKeyring
  /** Encrypts without a cache: every object gets a data key of its own. */
  readonly sealing: ProviderKeyring
  /** Decrypts through the cache. */
  readonly opening: NodeCachingMaterialsManager
}

export function openBucket(name: string, keyArn: string, client: KMS, cacheSeconds: number): Bucket {
  const keyring = new ProviderKeyring(keyArn, client)
  const opening = new NodeCachingMaterialsManager({
    backingMaterials: keyring,
    cache: getLocalCryptographicMaterialsCache(10_000),
    maxAge: Math.max(1, cacheSeconds * 1000),
    partition: name,
  })
  return { name, keyring, sealing: keyring, opening }
}
