/**
 * Certificates: read from files, and read again when asked, on SIGHUP, or when a file changes.
 */
import { X509Certificate } from 'node:crypto'
import { readFileSync, type StatsListener, unwatchFile, watchFile } from 'node:fs'
import type { SecureContextOptions, TlsOptions } from 'node:tls'
import { TLS_PROFILES } from './tls-profiles.ts'
import type { ListenerTls } from './types.ts'

/** How often files are looked at, in ms. Looking, rather than being told, also sees files that were replaced through a link. */
const WATCH_MS = 5000

export interface TlsContext {
  readonly options: SecureContextOptions & TlsOptions
  /** The client roots as read; connections from before a change are not kept. */
  readonly clientRoots: string
  /** Until when the own certificate is good, in milliseconds since 1970. */
  readonly validTo: number
}

/** Reads the files. Throws where one cannot be read; node:tls refuses what does not fit together. */
export function readContext({ profile, certificateFile, keyFile, clients }: ListenerTls): TlsContext {
  const cert = readFileSync(certificateFile)
  const key = readFileSync(keyFile)
  const validTo = new X509Certificate(cert).validToDate.getTime()
  if (clients === undefined) return { options: { ...TLS_PROFILES[profile], cert, key }, clientRoots: '', validTo }
  const ca = readFileSync(clients.caFile, 'utf8')
  // Without a root in the file Node would fall back to the public ones.
  if (!ca.includes('-----BEGIN CERTIFICATE-----')) throw new Error(`${clients.caFile} holds no certificate`)
  return {
    options: { ...TLS_PROFILES[profile], cert, key, ca, requestCert: true, rejectUnauthorized: true },
    clientRoots: ca,
    validTo,
  }
}

/** Calls `changed` on SIGHUP and when one of the files changes, until the returned function is called. */
export function watchContext({ certificateFile, keyFile, clients }: ListenerTls, changed: () => void): () => void {
  return watchFiles([certificateFile, keyFile, ...(clients ? [clients.caFile] : [])], changed)
}

/** The same for any files. One by one they change, so what is read of them may not fit together yet; then the next call brings the rest. */
export function watchFiles(files: readonly string[], changed: () => void): () => void {
  const seen: StatsListener = (now, before) => {
    if (now.mtimeMs !== before.mtimeMs || now.ino !== before.ino || now.size !== before.size) changed()
  }
  for (const file of files) watchFile(file, { interval: WATCH_MS, persistent: false }, seen)
  process.on('SIGHUP', changed)
  return () => {
    for (const file of files) unwatchFile(file, seen)
    process.off('SIGHUP', changed)
  }
}
