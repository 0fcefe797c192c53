/**
 * Codecs of the socket protocol: how one value stands in a frame, written and read with every length bounded before it is trusted.
 * Small ones are combined into structures; the table in operations.ts is made of them, and docs/formats/sockets.md is printed from it.
 */
import { FormatError, type Reader, type Writer } from '../../bytes.ts'

export interface Codec<T> {
  /** For the documents: how the value stands in the frame. */
  readonly name: string
  write(writer: Writer, value: T): void
  /** Throws `FormatError` on anything that is out of bounds. */
  read(reader: Reader): T
}

export type ValueOf<C> = C extends Codec<infer T> ? T : never

export const nothing: Codec<void> = { name: '', write: () => {}, read: () => {} }

export const u8: Codec<number> = { name: 'u8', write: (w, v) => w.u8(v), read: r => r.u8() }
export const u16: Codec<number> = { name: 'u16', write: (w, v) => w.u16(v), read: r => r.u16() }
export const u32: Codec<number> = { name: 'u32', write: (w, v) => w.u32(v), read: r => r.u32() }
export const u64: Codec<number> = { name: 'u64', write: (w, v) => w.u64(v), read: r => r.u64() }

export const bool: Codec<boolean> = {
  name: 'bool',
  write: (w, v) => w.u8(v ? 1 : 0),
  read: r => {
    const value = r.u8()
    if (value > 1) throw new FormatError('a flag must be 0 or 1')
    return value === 1
  },
}

/** UTF-8 of at most `max` bytes. Bytes that are not UTF-8 are refused, so that two encodings never become one text. */
export const text = (max: number): Codec<string> => ({
  name: `string(${max})`,
  write: (w, v) => w.string(v),
  read: r => {
    const from = r.offset
    const value = r.string()
    const length = r.offset - from - 2
    if (length > max) throw new FormatError(`a text of ${length} bytes where at most ${max} may stand`)
    return value
  },
})

/** Bytes with a u32 length of at most `max`. */
export const bytes = (max: number): Codec<Buffer> => ({
  name: `bytes(${max})`,
  write: (w, v) => w.long(v),
  read: r => r.long(max),
})

/** Bytes of one length, without it. */
export const fixed = (length: number): Codec<Buffer> => ({
  name: `raw(${length})`,
  write: (w, v) => {
    if (v.length !== length) throw new RangeError(`${v.length} bytes where ${length} must stand`)
    w.raw(v)
  },
  read: r => r.raw(length),
})

export const list = <T>(item: Codec<T>, max: number): Codec<readonly T[]> => ({
  name: `u32 count(${max}) × (${item.name})`,
  write: (w, values) => {
    w.u32(values.length)
    for (const value of values) item.write(w, value)
  },
  read: r => {
    const count = r.u32()
    if (count > max) throw new FormatError(`${count} items where at most ${max} may stand`)
    // Each item takes at least one byte: a count that the frame cannot hold is refused before anything is allocated for it.
    if (count > r.left) throw new FormatError('more items than bytes')
    const values: T[] = []
    for (let i = 0; i < count; i++) values.push(item.read(r))
    return values
  },
})

export const optional = <T>(item: Codec<T>): Codec<T | undefined> => ({
  name: `bool [${item.name}]`,
  write: (w, value) => {
    bool.write(w, value !== undefined)
    if (value !== undefined) item.write(w, value)
  },
  read: r => (bool.read(r) ? item.read(r) : undefined),
})

export const nullable = <T>(item: Codec<T>): Codec<T | null> => ({
  name: `bool [${item.name}]`,
  write: (w, value) => {
    bool.write(w, value !== null)
    if (value !== null) item.write(w, value)
  },
  read: r => (bool.read(r) ? item.read(r) : null),
})

/** One word of a table of words.ts, as its code in one byte. */
export const word = <N extends string>(table: Record<N, number | { readonly code: number }>): Codec<N> => {
  const codes = new Map<N, number>()
  const names: (N | undefined)[] = []
  for (const name of Object.keys(table) as N[]) {
    const entry = table[name]
    const code = typeof entry === 'number' ? entry : entry.code
    codes.set(name, code)
    names[code] = name
  }
  return {
    name: 'u8 code',
    write: (w, v) => {
      const code = codes.get(v)
      if (code === undefined) throw new RangeError('not a word of this table')
      w.u8(code)
    },
    read: r => {
      const name = names[r.u8()]
      if (name === undefined) throw new FormatError('an unknown code')
      return name
    },
  }
}

/** One of a few strings, by position. For settings that have no table of codes in words.ts; the order is for ever. */
export const oneOf = <const N extends string>(...names: readonly N[]): Codec<N> =>
  word(Object.fromEntries(names.map((name, at) => [name, at])) as Record<N, number>)

/** A codec under the name that docs/formats/sockets-encoding.md explains. */
export const named = <T>(name: string, codec: Codec<T>): Codec<T> => ({ ...codec, name })

export const struct = <T extends object>(fields: { readonly [K in keyof T]-?: Codec<T[K]> }): Codec<T> => {
  const names = Object.keys(fields) as (keyof T & string)[]
  // Read and written for every request: walked by position, without looking anything up by name.
  const codecs = names.map(name => fields[name] as Codec<T[keyof T]>)
  return {
    name: names.map((name, at) => `${name}: ${codecs[at]?.name}`).join(', '),
    write: (w, value) => {
      for (let at = 0; at < codecs.length; at++) codecs[at]?.write(w, value[names[at] as keyof T])
    },
    read: r => {
      const value = {} as T
      for (let at = 0; at < codecs.length; at++) value[names[at] as keyof T] = codecs[at]?.read(r) as T[keyof T]
      return value
    },
  }
}
