/**
 * Makes test/fixtures/data-VERSION from the program as it is: data folders of a KMS and of an external key manager, and what is to be found in them. Run it once
 * for a version that is released, and never change what it made: later versions are shown to open it (test/data-folders.test.ts).
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pkg from '../package.json' with { type: 'json' }
import {
  type Expected,
  FIXTURES,
  fillEkm,
  fillKms,
  pack,
  startFixtureEkm,
  startFixtureKms,
} from '../test/support/data-fixture.ts'

const to = join(FIXTURES, `data-${pkg.version}`)
const work = mkdtempSync(join(tmpdir(), 'holdfast-fixture-'))
try {
  mkdirSync(to, { recursive: true })
  const kms = await startFixtureKms(join(work, 'kms'))
  const checks = await fillKms(kms)
  await kms.stop()
  pack(join(work, 'kms'), join(to, 'kms.tar.gz'))
  const ekm = await startFixtureEkm(join(work, 'ekm'))
  const external = await fillEkm(ekm)
  await ekm.stop()
  pack(join(work, 'ekm'), join(to, 'ekm.tar.gz'))
  const expected: Expected = { version: pkg.version, kms: checks, ekm: external }
  writeFileSync(join(to, 'expected.json'), `${JSON.stringify(expected, undefined, 1)}\n`)
} finally {
  rmSync(work, { recursive: true, force: true })
}
