/**
 * The files that settings name: there, readable, and, where they hold a secret, closed to everyone but their owner.
 */
import { accessSync, constants, statSync } from 'node:fs'
import type { Names } from './tree.ts'

/** What is wrong with a file that a setting names, for the operator; undefined where nothing is. Folders and new secrets may not exist yet: the service makes them. */
export function checkFiles(names: Names | undefined, file: string): string | undefined {
  if (names === undefined) return undefined
  let found: { isFile(): boolean; isDirectory(): boolean; mode: number }
  try {
    found = statSync(file)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown reason'
    if ((names === 'folder' || names === 'new-secret-file') && code === 'ENOENT') return undefined
    return code === 'ENOENT' ? `there is no file ${file}` : `cannot be looked at: ${file} (${code})`
  }
  if (names === 'folder') return found.isDirectory() ? undefined : `${file} is not a folder`
  if (!found.isFile()) return `${file} is not a file`
  if (names !== 'file' && (found.mode & 0o077) !== 0) {
    const mode = (found.mode & 0o777).toString(8).padStart(4, '0')
    return `${file} holds a secret and others may read it (mode ${mode}); run: chmod 0600 ${file}`
  }
  try {
    accessSync(file, constants.R_OK)
  } catch {
    return `${file} may not be read by this user`
  }
  return undefined
}
