/**
 * Where a token's PIN comes from: a file that nobody else can read, or an environment variable that is gone after reading. Never the command line,
 * which every user of the machine can see.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { Secret } from '../root/types.ts'
import { TokenError } from './types.ts'

export type PinSource = { readonly file: string } | { readonly environment: string }

const MAX_PIN = 256

/**
 * Reads the PIN; one line ending at the end of a file is not part of it. Throws `TokenError` Misconfigured with what to change.
 * The variable is deleted from this process' environment, so that children do not inherit it; the kernel may still show a process' first
 * environment to the same user, which is why a file is the better source.
 */
export function readPin(source: PinSource): Secret {
  const bytes = 'file' in source ? fromFile(source.file) : fromEnvironment(source.environment)
  const length = withoutLineEnd(bytes)
  const pin = Buffer.allocUnsafeSlow(length)
  bytes.copy(pin, 0, 0, length)
  bytes.fill(0)
  if (length === 0 || length > MAX_PIN) {
    pin.fill(0)
    throw new TokenError('Misconfigured', `the PIN of the token must have 1..${MAX_PIN} bytes`)
  }
  return new Secret(pin)
}

function withoutLineEnd(bytes: Buffer): number {
  let length = bytes.length
  if (length > 0 && bytes[length - 1] === 0x0a) length -= 1
  if (length > 0 && bytes[length - 1] === 0x0d) length -= 1
  return length
}

function fromEnvironment(name: string): Buffer {
  const value = process.env[name]
  delete process.env[name]
  if (value === undefined) throw new TokenError('Misconfigured', `the environment variable ${name} holds no PIN`)
  return Buffer.from(value)
}

function fromFile(path: string): Buffer {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    throw new TokenError(
      'Misconfigured',
      `the PIN file ${path} cannot be opened: ${(error as NodeJS.ErrnoException).code}`,
    )
  }
  try {
    const stat = fstatSync(fd)
    if (!stat.isFile()) throw new TokenError('Misconfigured', `the PIN file ${path} is not a regular file`)
    if (stat.uid !== 0 && stat.uid !== process.geteuid?.()) {
      throw new TokenError('Misconfigured', `the PIN file ${path} belongs to another user than the one this runs as`)
    }
    if ((stat.mode & 0o077) !== 0) {
      throw new TokenError('Misconfigured', `the PIN file ${path} is open to others: chmod 600 ${path}`)
    }
    const bytes = Buffer.allocUnsafeSlow(MAX_PIN + 3)
    const length = readSync(fd, bytes, 0, bytes.length, 0)
    return bytes.subarray(0, length)
  } finally {
    closeSync(fd)
  }
}
