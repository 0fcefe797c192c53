import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { inspect } from 'node:util'
import { type PinSource, readPin } from './pin.ts'
import { TokenError } from './types.ts'

let folder = ''
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-pin-'))
})
after(() => rmSync(folder, { recursive: true }))

function file(content: string, mode = 0o600): string {
  const path = join(folder, `pin-${Math.random().toString(36).slice(2)}`)
  writeFileSync(path, content)
  chmodSync(path, mode)
  return path
}

function refused(source: PinSource): string {
  try {
    readPin(source)
  } catch (error) {
    assert.ok(error instanceof TokenError && error.code === 'Misconfigured' && error.fatal)
    return error.message
  }
  throw new assert.AssertionError({ message: 'the PIN was read' })
}

const text = (source: PinSource) => readPin(source).use(bytes => bytes.toString())

test('a file gives its bytes without the end of the line', () => {
  assert.equal(text({ file: file('1234\n') }), '1234')
  assert.equal(text({ file: file('1234\r\n', 0o400) }), '1234')
  assert.equal(text({ file: file(' 12 34') }), ' 12 34')
  assert.equal(text({ file: file('x'.repeat(256)) }).length, 256)
})

test('a file that others can read is refused with what to do', () => {
  for (const mode of [0o644, 0o640, 0o604, 0o660, 0o610]) {
    const path = file('1234', mode)
    assert.match(refused({ file: path }), new RegExp(`chmod 600 ${path}`))
  }
})

test('what is no regular file, too long or empty is refused', () => {
  const link = join(folder, 'link')
  symlinkSync(file('1234'), link)
  assert.match(refused({ file: link }), /ELOOP|EMLINK/)
  assert.match(refused({ file: folder }), /not a regular file/)
  assert.match(refused({ file: join(folder, 'none') }), /ENOENT/)
  for (const content of ['', '\n', 'x'.repeat(257), 'x'.repeat(1000)]) {
    assert.match(refused({ file: file(content) }), /1\.\.256 bytes/)
  }
})

test('the environment variable is gone after reading, and the PIN shows itself nowhere', () => {
  process.env.HOLDFAST_TEST_PIN = '4321'
  const pin = readPin({ environment: 'HOLDFAST_TEST_PIN' })
  assert.equal(process.env.HOLDFAST_TEST_PIN, undefined)
  assert.ok(!`${pin}${inspect(pin)}${JSON.stringify({ pin })}`.includes('4321'))
  assert.match(refused({ environment: 'HOLDFAST_TEST_PIN' }), /HOLDFAST_TEST_PIN holds no PIN/)
})
