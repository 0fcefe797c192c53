/** Routes 1 and 2: the sealed keys, opened with the provider's own root, from its store as it is and from a backup of before the revocation. */
import type { CustodyPlan } from '../../plan.ts'
import { filesOf, ProviderFolder } from '../folder.ts'
import { type KeyRoute, RouteFailure } from '../route.ts'

type Provider = NonNullable<CustodyPlan['provider']>

/** Opens the sealed keys that the store holds now. */
export function rootNow(provider: Provider, region: string): KeyRoute {
  return {
    route: 'root-now',
    title: 'opening the sealed key with the provider’s root',
    with: 'its store, read beside the running service, and its root key file',
    ...opening(() => ProviderFolder.open({ folder: provider.folder, keyFile: provider.rootFile, region })),
  }
}

/** Opens the sealed keys that a backup holds: there deleted material is still in its key. */
export function rootBackup(provider: Provider, region: string): KeyRoute {
  return {
    route: 'root-backup',
    title: 'opening the sealed key of a backup with the provider’s root',
    with: 'a backup of its folder from before the revocation, and the root key file in it',
    ...opening(() =>
      ProviderFolder.open({ folder: provider.backup, keyFile: filesOf(provider.backup).keyFile, region }),
    ),
  }
}

function opening(open: () => Promise<ProviderFolder>): Pick<KeyRoute, 'prepare' | 'unwrap' | 'finish'> {
  let folder: ProviderFolder | undefined
  return {
    async prepare() {
      folder = await open()
    },
    async unwrap(encryptedDataKey, file) {
      if (folder === undefined) throw new RouteFailure('NotOpened', 'The store could not be opened with the root.')
      return folder.openBlob(encryptedDataKey, file)
    },
    async finish() {
      await folder?.close()
    },
  }
}
