/** Ids of AWS's form: what they name in four letters, then letters and digits of base 32 from the system's random generator. */
import { randomInt } from 'node:crypto'

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
const LENGTH = 16

/** AKIA: an access key; ASIA: a temporary one; AIDA: a user; AROA: a role; AGPA: a group. */
export function uniqueId(prefix: 'AKIA' | 'ASIA' | 'AIDA' | 'AROA' | 'AGPA'): string {
  return prefix + Array.from({ length: LENGTH }, () => BASE32.charAt(randomInt(BASE32.length))).join('')
}
