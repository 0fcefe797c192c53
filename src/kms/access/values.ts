/** Values in conditions that are more than text: numbers, dates, IP addresses and ranges. All readers are total: undefined means unreadable. */
import { isIPv4, isIPv6 } from 'node:net'

/** A decimal number, as IAM's numeric operators take it. */
export function readNumber(text: string): number | undefined {
  if (!/^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/.test(text)) return undefined
  const value = Number(text)
  return Number.isFinite(value) ? value : undefined
}

const ISO_DATE =
  /^(\d{4})(?:-(\d{2})(?:-(\d{2})(?:T(\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?(Z|[+-]\d{2}:?\d{2}))?)?)?$/

/**
 * Milliseconds since 1970 of an ISO 8601 date in one of the W3C profile's forms (a year alone included), or of seconds since 1970.
 * Four digits are a year.
 */
export function readDate(text: string): number | undefined {
  const iso = ISO_DATE.exec(text)
  if (iso === null) {
    const seconds = /^-?\d+(?:\.\d+)?$/.test(text) ? Number(text) : Number.NaN
    return Number.isFinite(seconds) ? seconds * 1000 : undefined
  }
  const [, year, month = '01', day = '01', hour = '00', minute = '00', second = '00', fraction = '0', zone = 'Z'] = iso
  const offset = zone === 'Z' || zone.includes(':') ? zone : `${zone.slice(0, 3)}:${zone.slice(3)}`
  const millis = fraction.padEnd(3, '0').slice(0, 3)
  const value = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}.${millis}${offset}`)
  // Date.parse moves 30 February to March; a date that does not exist is refused instead.
  const exists = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day))).getUTCDate() === Number(day)
  return Number.isNaN(value) || !exists ? undefined : value
}

/** An address as 32-bit words: one for IPv4, four for IPv6. IPv4-mapped IPv6 addresses are IPv4. */
export type Address = readonly number[]

export function readAddress(text: string): Address | undefined {
  if (isIPv4(text)) return [text.split('.').reduce((word, octet) => word * 256 + Number(octet), 0)]
  if (!isIPv6(text) || text.includes('%')) return undefined
  const words = ipv6Words(text)
  const mapped = words[0] === 0 && words[1] === 0 && words[2] === 0xffff
  return mapped ? words.slice(3) : words
}

function ipv6Words(text: string): number[] {
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text)
  let plain = text
  if (dotted !== null) {
    const word = readAddress(dotted[2] ?? '')?.[0] ?? 0
    plain = `${dotted[1]}${Math.floor(word / 0x10000).toString(16)}:${(word % 0x10000).toString(16)}`
  }
  const [head = '', tail] = plain.split('::')
  const groups = (part: string | undefined) =>
    part === undefined || part === '' ? [] : part.split(':').map(group => Number.parseInt(group, 16))
  const left = groups(head)
  const right = groups(tail)
  const all = [...left, ...Array.from({ length: 8 - left.length - right.length }, () => 0), ...right]
  return [0, 2, 4, 6].map(at => (all[at] ?? 0) * 0x10000 + (all[at + 1] ?? 0))
}

export interface AddressRange {
  readonly base: Address
  readonly masks: readonly number[]
}

/** `203.0.113.0/24`, `2001:db8::/32`, or one address. */
export function readRange(text: string): AddressRange | undefined {
  const [addressText = '', prefixText, ...rest] = text.split('/')
  const address = readAddress(addressText)
  if (address === undefined || rest.length > 0) return undefined
  const bits = address.length * 32
  if (prefixText !== undefined && !/^\d{1,3}$/.test(prefixText)) return undefined
  let prefix = prefixText === undefined ? bits : Number(prefixText)
  // The prefix of an IPv4-mapped address counts from the start of the IPv6 form.
  if (prefixText !== undefined && address.length === 1 && addressText.includes(':')) prefix -= 96
  if (prefix < 0 || prefix > bits) return undefined
  const masks = address.map((_, index) => {
    const set = Math.max(0, Math.min(32, prefix - index * 32))
    return set === 0 ? 0 : (-1 << (32 - set)) >>> 0
  })
  return { base: address, masks }
}

export function inRange(address: Address, range: AddressRange): boolean {
  if (address.length !== range.base.length) return false
  for (let i = 0; i < address.length; i++) {
    const mask = range.masks[i] ?? 0
    if ((((address[i] ?? 0) ^ (range.base[i] ?? 0)) & mask) !== 0) return false
  }
  return true
}
