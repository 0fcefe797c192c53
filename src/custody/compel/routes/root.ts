/** Routes 1 to 3: the sealed keys, opened with the provider's own root: from its store as it is, and from a backup of before the revocation. */

import type { ProviderFolder } from '../folder.ts'
import { openBackup, openKept, openNow, type Provider } from '../holdings.ts'
import { type KeyRoute, RouteFailure } from '../route.ts'

/** Opens the sealed keys that the store holds now. */
export function rootNow(provider: Provider, region: string): KeyRoute {
  return {
    route: 'root-now',
    title: 'opening the sealed key with the provider’s root',
    with: 'its store, read beside the running service, and its root key file',
    ...opening(() => openNow(provider, region)),
  }
}

/** Opens the sealed keys that a backup holds, where deleted material is still in its key, with the root of today. */
export function rootBackup(provider: Provider, region: string): KeyRoute {
  return {
    route: 'root-backup',
    title: 'opening the sealed key of a backup with the provider’s root',
    with: 'a backup of its store from before the revocation, and its root as it is now',
    ...opening(() => openBackup(provider, region)),
  }
}

/** The same with a copy of the root that was kept beside the backup: what a rotation of the root has destroyed is still in it. */
export function rootKept(provider: Provider, region: string): KeyRoute {
  return {
    route: 'root-kept',
    title: 'opening the sealed key of a backup with a kept copy of the root',
    with: 'a backup of its store from before the revocation, and the copy of the root of then that it kept beside it',
    ...opening(() => openKept(provider, region)),
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
