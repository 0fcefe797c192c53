/**
 * Where this program stands. A clone runs its source, a file a module; what is published runs the files that were built of it, one for each process and
 * thread (docs/decisions/0046). So nothing finds another file by where its own module is.
 */
import { existsSync } from 'node:fs'
import { dirname, extname, join } from 'node:path'

/** Whether it is the source that runs. */
export const FROM_SOURCE = extname(import.meta.filename) === '.ts'

/** The folder of package.json. */
export const ROOT = rootAbove(import.meta.dirname)

/** Path of the file that a process or a thread runs, from its name under `src`, without an extension: `kms/main`. Each is in `scripts/bundle.ts`. */
export function entryFile(name: string): string {
  return FROM_SOURCE ? join(ROOT, 'src', `${name}.ts`) : join(ROOT, 'dist', `${name}.js`)
}

function rootAbove(folder: string): string {
  if (existsSync(join(folder, 'package.json'))) return folder
  const above = dirname(folder)
  if (above === folder) throw new Error('no package.json stands above the files of this program')
  return rootAbove(above)
}
