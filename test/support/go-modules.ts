/**
 * Test vectors that others publish as Go modules, which the go command fetches into its cache and verifies; a sum pinned here says that they are the very
 * files that the tests were written with.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { gunzipSync } from 'node:zlib'

/** Project Wycheproof: test vectors with the mistakes that implementations make. */
const WYCHEPROOF = {
  module: 'github.com/c2sp/wycheproof@v0.0.0-20260902155932-3fa63dd0344a',
  sum: 'h1:pNbL2nztRsWfW/ispAwsvcDFxs9Id38uIsR2/Up5G2c=',
}
/** It has NIST's ACVP vectors of FIPS 203 and 204 among its test data. */
const CIRCL = {
  module: 'github.com/cloudflare/circl@v1.6.4',
  sum: 'h1:pOXuDTCEYyzydgUpQ0CQz3LsinKjiSk6nNP5Lt5K64U=',
}

/** Where the Go distribution puts itself where it comes from no package. */
const go = existsSync('/usr/local/go/bin/go') ? '/usr/local/go/bin/go' : 'go'

/** The module's folder in Go's cache, which is outside the work tree. */
function fetched({ module, sum }: { module: string; sum: string }): string {
  const answer = execFileSync(go, ['mod', 'download', '-json', module], { cwd: tmpdir(), encoding: 'utf8' })
  const { Dir, Sum } = JSON.parse(answer) as { Dir: string; Sum: string }
  assert.equal(Sum, sum, `${module} is not what the tests were written with`)
  return Dir
}

const folders = new Map<object, string>()
const folderOf = (module: { module: string; sum: string }): string => {
  const folder = folders.get(module) ?? fetched(module)
  folders.set(module, folder)
  return folder
}

export interface WycheproofFile<G, T> {
  readonly numberOfTests: number
  readonly testGroups: readonly (G & { readonly tests: readonly (T & WycheproofTest)[] })[]
}
export interface WycheproofTest {
  readonly tcId: number
  readonly comment?: string
  readonly flags?: readonly string[]
  readonly result: 'valid' | 'invalid' | 'acceptable'
}

/** A file of Wycheproof, by the part of its name before `_test.json`. */
export function wycheproof<G, T>(name: string): WycheproofFile<G, T> {
  const file = path.join(folderOf(WYCHEPROOF), 'testvectors_v1', `${name}_test.json`)
  return JSON.parse(readFileSync(file, 'utf8')) as WycheproofFile<G, T>
}

/** An ACVP test with what was asked and what is expected, and the group that it stands in. */
export interface AcvpTest {
  readonly group: Readonly<Record<string, string>>
  readonly test: Readonly<Record<string, string>>
  readonly expected: Readonly<Record<string, string | boolean>>
}

/** An algorithm of ACVP, for example `ML-DSA-keyGen-FIPS204`. */
export function acvp(folder: 'sign/mldsa' | 'kem/mlkem', name: string): readonly AcvpTest[] {
  const read = (file: string): { testGroups: (Record<string, string> & { tests: Record<string, string>[] })[] } =>
    JSON.parse(
      gunzipSync(readFileSync(path.join(folderOf(CIRCL), folder, 'testdata', name, `${file}.json.gz`))).toString(),
    )
  const answers = new Map(
    read('expectedResults')
      .testGroups.flatMap(group => group.tests)
      .map(test => [test.tcId, test]),
  )
  return read('prompt').testGroups.flatMap(group =>
    group.tests.map(test => ({ group, test, expected: answers.get(test.tcId) as AcvpTest['expected'] })),
  )
}
