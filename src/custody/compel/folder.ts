/**
 * What a compelled provider finds in the folder of its KMS, or in a backup of it: the sealed keys, and the root that opens them. The service that owns the
 * folder is neither asked nor told.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { encodeContext } from '../../boundary/crypto/context.ts'
import { blobKind, parseEnvelope } from '../../boundary/crypto/envelope.ts'
import { decryptMessage, MessageKey, parseMessageHeader } from '../../boundary/crypto/message.ts'
import { type OpenedKey, openKey, readKeyHeader } from '../../boundary/crypto/sealed.ts'
import { openKeyFile } from '../../boundary/root/keyfile.ts'
import type { Keyring } from '../../boundary/root/keyring.ts'
import { openRoot, parseRootFile, type RootFile } from '../../boundary/root/rootfile.ts'
import { serviceFolders } from '../../config/folders.ts'
import { openSqliteStore } from '../../store/sqlite/open.ts'
import type { Store } from '../../store/types.ts'
import { RouteFailure, type SealedFile } from './route.ts'

/** Where the parts of a KMS's folder lie; a backup has the same form, with its own copy of the key file. */
export const filesOf = (folder: string): { store: string; root: string; keyFile: string; captured: string } => ({
  store: join(serviceFolders(folder).frontEnd, 'store.db'),
  root: join(serviceFolders(folder).boundary, 'root'),
  keyFile: join(folder, 'root.key'),
  captured: join(folder, 'captured-requests.json'),
})

export class ProviderFolder {
  readonly #store: Store
  readonly #keyring: Keyring
  readonly #root: Pick<RootFile, 'destroyed' | 'destroyedAt'>
  readonly #region: string

  private constructor(store: Store, keyring: Keyring, root: RootFile, region: string) {
    this.#store = store
    this.#keyring = keyring
    this.#root = root
    this.#region = region
  }

  /**
   * Opens the store of `folder` with the root of `rootFolder`, which is the same folder unless given. Rejects with `RootError` where the key file is not
   * the one, and with `StoreError` where there is no store.
   */
  static async open(input: {
    folder: string
    rootFolder?: string
    keyFile: string
    region: string
  }): Promise<ProviderFolder> {
    const trust = await openKeyFile(input.keyFile)
    const rootFile = parseRootFile(await readFile(filesOf(input.rootFolder ?? input.folder).root))
    const { keyring } = await openRoot(trust, rootFile)
    const store = await openSqliteStore({ file: filesOf(input.folder).store, readOnly: true })
    return new ProviderFolder(store, keyring, rootFile, input.region)
  }

  close(): Promise<void> {
    return this.#store.close()
  }

  /** A key by its id without Region, with every material that the folder still holds. */
  async key(keyId: string): Promise<OpenedKey> {
    const row = await this.#store.get('key', `${this.#region}/${keyId}`)
    if (row === undefined) throw new RouteFailure('KeyNotInStore', 'The store does not hold this key.')
    if (row.body === null) throw new RouteFailure('KeyDeleted', 'The store only remembers that this key was deleted.')
    this.#holds(readKeyHeader(row.body).rootGeneration)
    return openKey(this.#keyring, row.body)
  }

  /** Of a generation that was destroyed nothing opens, whoever holds the root of trust. */
  #holds(generation: number): void {
    if (this.#keyring.generations.includes(generation)) return
    const { destroyed, destroyedAt } = this.#root
    if (generation > destroyed)
      throw new RouteFailure(
        'RootNotHeld',
        `The sealed key is of root generation ${generation}, which this root does not hold.`,
      )
    throw new RouteFailure(
      'RootDestroyed',
      `The sealed key is of root generation ${generation}, which was destroyed (all up to ${destroyed} by ${new Date(destroyedAt).toISOString()}).`,
    )
  }

  /** Host name of the custom key store's endpoint, as the customer gave it. */
  async proxyHost(keyStoreId: string): Promise<string> {
    const row = await this.#store.get('keystore', keyStoreId)
    if (row?.body == null) throw new RouteFailure('KeyStoreNotInStore', 'The store does not hold this key store.')
    const { uriEndpoint } = JSON.parse(row.body.toString('utf8')) as { uriEndpoint: string }
    return new URL(uriEndpoint).host
  }

  /** Opens a message of the boundary's with what the folder holds. Rejects where the material is gone or the message is of another form. */
  async openMessage(message: Buffer, { context }: Pick<SealedFile, 'context'>): Promise<Buffer> {
    const { keyId, materialId } = parseMessageHeader(message)
    const { header, materials } = await this.key(keyId)
    const material = materials.get(materialId)
    if (material === undefined) {
      throw new RouteFailure('MaterialGone', 'The sealed key opens, and no longer holds the material of this file.')
    }
    const key = new MessageKey({ account: header.account, keyId, materialId, material })
    return decryptMessage(key, message, encodeContext(context))
  }

  /** The data key of a blob that the KMS returned. Around a key of the owner's own there is the owner's layer, which nothing in the folder opens. */
  async openBlob(blob: Buffer, file: Pick<SealedFile, 'context'>): Promise<Buffer> {
    if (blobKind(blob) !== 'envelope') return this.openMessage(blob, file)
    const { keyId, materialId, ciphertext } = parseEnvelope(blob)
    const { header, materials } = await this.key(keyId)
    const material = materials.get(materialId)
    if (material === undefined) throw new RouteFailure('MaterialGone', 'The sealed key no longer holds this material.')
    const key = new MessageKey({ account: header.account, keyId, materialId, material })
    try {
      return decryptMessage(key, ciphertext, encodeContext(file.context))
    } catch {
      throw new RouteFailure('OwnersLayer', 'The sealed key opens; its data is under the owner’s layer, and does not.')
    }
  }
}
