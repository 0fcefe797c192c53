/** A side's keys opened with everything that it has on disk, its service neither asked nor told. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type OpenedKey, openKey } from '../../src/boundary/crypto/sealed.ts'
import { openKeyFile } from '../../src/boundary/root/keyfile.ts'
import { openRoot, parseRootFile } from '../../src/boundary/root/rootfile.ts'
import type { Row } from '../../src/boundary/words.ts'
import { openSqliteStore } from '../../src/store/sqlite/open.ts'

/** `id`: of the key's row. Throws where there is none. */
export async function openFromDisk(data: string, id: string, rootKey = join(data, 'root.key')): Promise<OpenedKey> {
  const trust = await openKeyFile(rootKey)
  const { keyring } = await openRoot(trust, parseRootFile(readFileSync(join(data, 'boundary', 'root'))))
  const store = await openSqliteStore({ file: join(data, 'front-end', 'store.db'), readOnly: true })
  try {
    const row = (await store.get('key', id)) as Row | undefined
    if (!row?.body) throw new Error(`there is no key ${id} on disk`)
    return openKey(keyring, row.body)
  } finally {
    await store.close()
  }
}
