/**
 * Canaries: values that are recognised wherever they turn up, in clear, base64 (at any alignment), hex or UTF-16. Text canaries share a marker, so that one
 * pass finds them all; bytes that cannot carry it (keys, random answers) are looked for one by one.
 */
import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'

const MARKER = 'hfcanary'

export class Canaries {
  readonly #texts = new Map<string, { label: string; places: ReadonlySet<string> }>()
  readonly #bytes: { label: string; needles: readonly Buffer[] }[] = []

  /** A text that may stand in these places in clear or encoded; without any, nowhere. At least 43 letters and digits. */
  text(label: string, ...places: readonly string[]): string {
    const value = `${MARKER}${String(this.#texts.size).padStart(5, '0')}x${randomBytes(16).toString('hex')}`
    this.#texts.set(value, { label, places: new Set(places) })
    return value
  }

  /** Bytes that may stand nowhere. */
  secret(label: string, bytes: Buffer): void {
    if (bytes.length < 8) throw new RangeError('fewer bytes than that are found by chance')
    this.#bytes.push({ label, needles: needlesOf(bytes) })
  }

  /** A text of another's making that may stand nowhere, looked for in clear only. */
  clear(label: string, text: string): void {
    this.#bytes.push({ label, needles: [Buffer.from(text)] })
  }

  /** What was found in a place where it may not be, each `label in place (name)`. */
  misplaced(content: Buffer, place: string, name: string): string[] {
    const found: string[] = []
    if (needlesOf(Buffer.from(MARKER)).some(needle => content.includes(needle))) {
      for (const [value, { label, places }] of this.#texts) {
        if (!places.has(place) && contains(content, Buffer.from(value))) found.push(`${label} in ${place} (${name})`)
      }
    }
    for (const { label, needles } of this.#bytes) {
      if (needles.some(needle => content.includes(needle))) found.push(`${label} in ${place} (${name})`)
    }
    return found
  }

  /** Labels of those texts that are in this content. */
  present(content: Buffer): Set<string> {
    const labels = [...this.#texts].filter(([value]) => contains(content, Buffer.from(value)))
    return new Set(labels.map(([, { label }]) => label))
  }
}

export function contains(content: Buffer, value: Buffer): boolean {
  return needlesOf(value).some(needle => content.includes(needle))
}

function needlesOf(value: Buffer): Buffer[] {
  const hex = value.toString('hex')
  const forms = [
    value,
    Buffer.from(hex),
    Buffer.from(hex.toUpperCase()),
    Buffer.from(value.toString('latin1'), 'utf16le'),
  ]
  for (const offset of [0, 1, 2]) {
    // The first and last characters depend on the neighbours; what is between does not.
    const encoded = Buffer.concat([Buffer.alloc(offset), value])
      .toString('base64')
      .replace(/=+$/, '')
    const inner = encoded.slice(offset === 0 ? 0 : offset + 1, (offset + value.length) % 3 === 0 ? undefined : -1)
    forms.push(Buffer.from(inner), Buffer.from(inner.replaceAll('+', '-').replaceAll('/', '_')))
  }
  return forms
}

/** Every file below a folder, with its path relative to it. Sockets are none. */
export function filesBelow(folder: string): { readonly name: string; readonly content: Buffer }[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name))
    .map(file => ({ name: relative(folder, file), content: readFileSync(file) }))
}
