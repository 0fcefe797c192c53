/**
 * Everything of the provider's in which a key may still open: its store as it is, its backup under the root that it has now, and its backup under a copy of
 * the root of then, where it kept one. `holdfast backup` leaves the root out; a provider that copies it all the same is the stronger adversary.
 */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { OpenedKey } from '../../boundary/crypto/sealed.ts'
import { parseRootFile } from '../../boundary/root/rootfile.ts'
import type { RootEvidence } from '../evidence/types.ts'
import type { CustodyPlan } from '../plan.ts'
import { filesOf, ProviderFolder } from './folder.ts'
import type { SealedFile } from './route.ts'

export type Provider = NonNullable<CustodyPlan['provider']>

export const openNow = ({ folder, rootFile }: Provider, region: string): Promise<ProviderFolder> =>
  ProviderFolder.open({ folder, keyFile: rootFile, region })

/** The backup's sealed keys under the root as it is now. */
export const openBackup = ({ folder, backup, rootFile }: Provider, region: string): Promise<ProviderFolder> =>
  ProviderFolder.open({ folder: backup, rootFolder: folder, keyFile: rootFile, region })

/** Whether a copy of the root lies beside the backup. */
export function keepsRoot({ backup }: Provider): boolean {
  const { root, keyFile } = filesOf(backup)
  return existsSync(root) && existsSync(keyFile)
}

/** What the root file says of its generations; undefined where there is none to read. */
export async function rootEvidence({ folder }: Provider): Promise<RootEvidence | undefined> {
  try {
    const { generations, destroyed, destroyedAt } = parseRootFile(await readFile(filesOf(folder).root))
    return { held: generations.map(({ generation }) => generation), destroyed, destroyedAt }
  } catch {
    return undefined
  }
}

/** The backup's sealed keys under the copy of the root that was kept with it. */
export const openKept = ({ backup }: Provider, region: string): Promise<ProviderFolder> =>
  ProviderFolder.open({ folder: backup, keyFile: filesOf(backup).keyFile, region })

const backups = (provider: Provider): (typeof openNow)[] => [openBackup, ...(keepsRoot(provider) ? [openKept] : [])]

/** All of it as one: what the first cannot do, the next is asked for. */
export class Holdings {
  readonly #folders: readonly ProviderFolder[]

  private constructor(folders: readonly ProviderFolder[]) {
    this.#folders = folders
  }

  /** Rejects where none of it opens. */
  static all(provider: Provider, region: string): Promise<Holdings> {
    return Holdings.#open(provider, region, [openNow, ...backups(provider)])
  }

  /** What was deleted since is still in these. Rejects where none of them opens. */
  static backups(provider: Provider, region: string): Promise<Holdings> {
    return Holdings.#open(provider, region, backups(provider))
  }

  static async #open(provider: Provider, region: string, ways: readonly (typeof openNow)[]): Promise<Holdings> {
    const opened = await Promise.allSettled(ways.map(open => open(provider, region)))
    const folders = opened.flatMap(result => (result.status === 'fulfilled' ? [result.value] : []))
    const [first] = opened
    if (folders.length === 0 && first?.status === 'rejected') throw first.reason
    return new Holdings(folders)
  }

  key(keyId: string): Promise<OpenedKey> {
    return this.#first(folder => folder.key(keyId))
  }

  proxyHost(keyStoreId: string): Promise<string> {
    return this.#first(folder => folder.proxyHost(keyStoreId))
  }

  openMessage(message: Buffer, file: Pick<SealedFile, 'context'>): Promise<Buffer> {
    return this.#first(folder => folder.openMessage(message, file))
  }

  async #first<T>(ask: (folder: ProviderFolder) => Promise<T>): Promise<T> {
    let failure: unknown
    for (const folder of this.#folders) {
      try {
        return await ask(folder)
      } catch (error) {
        failure ??= error
      }
    }
    throw failure
  }

  async close(): Promise<void> {
    await Promise.all(this.#folders.map(folder => folder.close()))
  }
}
