/**
 * The canonical request of SigV4: made of the bytes that were sent, neither decoded nor normalised beyond what the scheme itself demands
 * (external-key-protocols.md §2.2 and §12.2). Verifier and signer share it.
 */
import { hash } from 'node:crypto'
import type { Headers } from './types.ts'

export interface CanonicalInput {
  readonly method: string
  readonly rawPath: string
  readonly query: string
  readonly headers: Headers
}

export type Canonical =
  | { readonly ok: true; readonly hash: string }
  /** `incomplete`: the list itself is malformed; otherwise it does not cover what it must. */
  | { readonly ok: false; readonly incomplete: boolean; readonly message: string }

/** No request of ours has more headers than this. */
const MAX_SIGNED = 64
const HEADER_NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/
const NON_ASCII = /[\u0080-\uffff]/

/** SHA-256, in hex, of the canonical request. `host` and `x-amz-date` must be in the list, and `x-amz-target` and a session token where they were sent. */
export function canonicalRequest(request: CanonicalInput, signedHeaders: string, bodyHash: string): Canonical {
  const list = signedList(signedHeaders)
  if (list === undefined) {
    return {
      ok: false,
      incomplete: true,
      message: 'SignedHeaders must be a list of distinct lower-case header names, separated by semicolons.',
    }
  }
  const { headers } = request
  const unsigned = list.unsigned.find(name => ALWAYS_SIGNED.includes(name) || headers[name] !== undefined)
  if (unsigned !== undefined) return notSigned(unsigned)
  let text = `${request.method}\n${request.rawPath}\n${canonicalQuery(request.query)}\n`
  for (const name of list.names) {
    const value = headers[name]
    if (value === undefined)
      return {
        ok: false,
        incomplete: false,
        message: `SignedHeaders names '${name}', which the request does not have.`,
      }
    text += `${name}:${canonicalValue(value)}\n`
  }
  text += `\n${signedHeaders}\n${bodyHash}`
  // Header values are the bytes of the wire as Latin-1; `hash` would make UTF-8 of them.
  return { ok: true, hash: hash('sha256', NON_ASCII.test(text) ? Buffer.from(text, 'latin1') : text, 'hex') }
}

interface SignedList {
  readonly names: readonly string[]
  /** Of the headers that decide what a request means, those that are not in the list. */
  readonly unsigned: readonly string[]
}

const ALWAYS_SIGNED: readonly string[] = ['host', 'x-amz-date']
/** Signed wherever they are sent. */
const SIGNED_IF_SENT: readonly string[] = ['x-amz-target', 'x-amz-security-token', 'x-amz-source-arn']

function notSigned(name: string): Canonical {
  const shown = name === 'host' ? "'Host' or ':authority'" : `'${name}'`
  return { ok: false, incomplete: false, message: `${shown} must be a 'SignedHeader' in the AWS Authorization.` }
}

/** A client always sends the same few lists. */
const lists = new Map<string, SignedList>()
const MAX_LISTS = 256

function signedList(text: string): SignedList | undefined {
  const known = lists.get(text)
  if (known) return known
  const names = text.split(';')
  if (names.length > MAX_SIGNED || new Set(names).size !== names.length) return undefined
  if (!names.every(name => HEADER_NAME.test(name))) return undefined
  const list = { names, unsigned: [...ALWAYS_SIGNED, ...SIGNED_IF_SENT].filter(name => !names.includes(name)) }
  if (lists.size >= MAX_LISTS) lists.clear()
  lists.set(text, list)
  return list
}

const NEEDS_CARE = /^\s|\s$|\s\s|[\t\n\r\f\v]/

/** Without spaces around it, and with one where there were several. */
export function canonicalValue(value: string): string {
  return NEEDS_CARE.test(value) ? value.replaceAll(/[ \t\n\r\f\v]+/g, ' ').replaceAll(/^ | $/g, '') : value
}

/** Pairs sorted by bytes of their encoded names, then values; every byte but the unreserved ones is percent-encoded, once. */
export function canonicalQuery(query: string): string {
  if (query === '') return ''
  return query
    .split('&')
    .filter(part => part !== '')
    .map(part => {
      const equals = part.indexOf('=')
      return equals < 0
        ? ([recode(part), ''] as const)
        : ([recode(part.slice(0, equals)), recode(part.slice(equals + 1))] as const)
    })
    .sort(([a, x], [b, y]) => (a < b ? -1 : a > b ? 1 : x < y ? -1 : x > y ? 1 : 0))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')
}

const UNRESERVED = /[A-Za-z0-9._~-]/

/** Decodes percent escapes to bytes and encodes the bytes anew; what is no escape stands for itself. */
function recode(text: string): string {
  let out = ''
  for (let at = 0; at < text.length; at++) {
    let byte = text.charCodeAt(at) & 0xff
    const hex = text[at] === '%' ? text.slice(at + 1, at + 3) : ''
    if (/^[0-9A-Fa-f]{2}$/.test(hex)) {
      byte = Number.parseInt(hex, 16)
      at += 2
    }
    const character = String.fromCharCode(byte)
    out += UNRESERVED.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return out
}
