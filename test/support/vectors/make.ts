/**
 * Makes the test vectors of every format from fixed inputs and a fixed random source. What cannot be made twice alike (RSA-OAEP, the journal's frames)
 * is kept from the files that are there.
 */
import { archives } from './archive.ts'
import { backups } from './backup.ts'
import { external } from './external.ts'
import { grants } from './grants.ts'
import { contexts, derivations, envelopes, messages } from './messages.ts'
import { importTokens, journal, recipients, roots } from './root.ts'
import { sessionTokens } from './sessions.ts'
import { shares } from './shares.ts'
import type { VectorFile } from './source.ts'
import { records, rows, sealedKeys } from './stored.ts'

/** Every vector file by its name, as it stands in test/vectors. */
export async function makeVectors(): Promise<Record<string, VectorFile>> {
  return {
    context: contexts(),
    derivation: derivations(),
    message: messages(),
    envelope: envelopes(),
    'sealed-key': sealedKeys(),
    rows: rows(),
    record: records(),
    external: external(),
    'import-token': importTokens(),
    grants: grants(),
    'session-token': sessionTokens(),
    recipient: recipients(),
    root: await roots(),
    shares: shares(),
    journal: journal(),
    archive: archives(journal()),
    backup: backups(journal()),
  }
}

export const vectorText = (file: VectorFile): string => `${JSON.stringify(file, null, 1)}\n`
