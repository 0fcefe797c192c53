/** What a configuration names of files: secrets, certificates with their keys, roots of clients. */
import type { GivenConfig, Subject } from './subject.ts'

export interface CertificatePair {
  /** Dotted path of the section: `listen.tls`. */
  readonly path: string
  readonly certificateFile: string
  readonly keyFile: string
  /** Of the section above: the name that callers must find in it. */
  readonly host: string | undefined
}

type Section = Readonly<Record<string, unknown>>

const isSection = (value: unknown): value is Section =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Every section, with those above it. */
function* sections(
  at: Section,
  path: readonly string[] = [],
  above: readonly Section[] = [],
): Generator<{ path: string; section: Section; above: readonly Section[] }> {
  yield { path: path.join('.'), section: at, above }
  for (const [name, below] of Object.entries(at))
    if (isSection(below)) yield* sections(below, [...path, name], [at, ...above])
}

export function certificatePairs({ settings }: GivenConfig): CertificatePair[] {
  const found: CertificatePair[] = []
  for (const { path, section, above } of sections(settings)) {
    const { certificateFile, keyFile } = section
    if (typeof certificateFile !== 'string' || typeof keyFile !== 'string') continue
    const url = above[0]?.publicUrl
    found.push({ path, certificateFile, keyFile, host: typeof url === 'string' ? new URL(url).hostname : undefined })
  }
  return found
}

/** Files with the roots that callers' certificates chain to. */
export function clientRoots({ settings }: GivenConfig): string[] {
  return [...sections(settings)].flatMap(({ path, section }) =>
    path.endsWith('clients') && typeof section.caFile === 'string' ? [section.caFile] : [],
  )
}

/** Keys of certificates, PINs, and the root's key file. */
export function secretFiles({ config }: Subject): string[] {
  if (config === undefined) return []
  const { root } = config.settings.boundary
  const pins = [...sections(config.settings)].flatMap(({ section }) =>
    typeof section.pinFile === 'string' ? [section.pinFile] : [],
  )
  const keys = certificatePairs(config).map(({ keyFile }) => keyFile)
  return [...new Set([...keys, ...pins, ...(root.kind === 'keyfile' ? [root.file] : [])])]
}
