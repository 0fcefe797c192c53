/**
 * Data folders that earlier versions made (test/fixtures/data-*): today's program starts on a copy of each, everything is there, what was encrypted opens, what
 * was signed verifies, what was disabled or revoked still is, and the log verifies before and after a write.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { verifyFolder } from '../src/log/verify.ts'
import {
  type Check,
  decryptXks,
  developerOf,
  expectedOf,
  FIXTURES,
  readerOf,
  startFixtureEkm,
  startFixtureKms,
  unpack,
} from './support/data-fixture.ts'
import type { Kms } from './support/kms.ts'

const folders: string[] = []
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

function copyOf(version: string, service: 'kms' | 'ekm'): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-folders-'))
  folders.push(folder)
  unpack(join(FIXTURES, version, `${service}.tar.gz`), folder)
  return folder
}

/** Entries of a log that verifies. */
async function verified(data: string): Promise<number> {
  const { bad, entries } = await verifyFolder(join(data, 'boundary'))
  assert.equal(bad, undefined)
  return entries
}

async function check(kms: Kms, checks: readonly Check[]): Promise<void> {
  const developer = developerOf(kms)
  const reader = readerOf(kms)
  for (const { operation, input, region, reader: asReader, status = 200, answer } of checks) {
    const client = asReader === true ? reader : developer
    const { status: found, json, text } = await client.call(operation, input, region === undefined ? {} : { region })
    const what = `${operation} ${JSON.stringify(input).slice(0, 200)}: ${text}`
    assert.equal(found, status, what)
    assert.partialDeepStrictEqual(json, answer, what)
  }
  developer.close()
  reader.close()
}

const versions = readdirSync(FIXTURES).filter(name => name.startsWith('data-'))

test('there is a folder of the first version', () => {
  assert.ok(versions.includes('data-0.1.0'))
})

for (const version of versions) {
  const expected = expectedOf(version)

  test(`a KMS of ${version}: everything is there, and stays after a write and another start`, async () => {
    const data = copyOf(version, 'kms')
    const entries = await verified(data)
    const first = await startFixtureKms(data)
    await check(first, expected.kms)
    const { KeyId } = (await developerOf(first).ok('CreateKey')).KeyMetadata
    await first.stop()
    assert.ok((await verified(data)) > entries)
    const second = await startFixtureKms(data)
    await check(second, expected.kms)
    assert.equal((await developerOf(second).ok('DescribeKey', { KeyId })).KeyMetadata.KeyState, 'Enabled')
    await second.stop()
    await verified(data)
  })

  test(`an external key manager of ${version}: revoked, and after restoring both versions of its key open`, async () => {
    const { key, messages } = expected.ekm
    const data = copyOf(version, 'ekm')
    const entries = await verified(data)
    const ekm = await startFixtureEkm(data)
    for (const { json } of messages) assert.equal((await decryptXks(ekm, json)).status, 400)
    await ekm.cli('restore', key)
    for (const { json, plaintext } of messages) assert.equal((await decryptXks(ekm, json)).json.plaintext, plaintext)
    await ekm.stop()
    assert.ok((await verified(data)) > entries)
  })
}
