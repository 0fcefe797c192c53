/** What the page of a protocol says of configuration, errors and commands is what the program says of itself. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { ekmConfig } from '../src/config/ekm.ts'
import { loadConfig } from '../src/config/load.ts'
import { DKE_ERRORS } from '../src/ekm/protocols/dke/errors.ts'
import { KACLS_ERRORS } from '../src/ekm/protocols/kacls/errors.ts'
import { commandsAreThere } from './support/docs.ts'
import { ROOT } from './support/ekm.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-docs-'))
after(() => rmSync(folder, { recursive: true }))

const PAGES = [
  { section: 'dke', errors: DKE_ERRORS },
  { section: 'kacls', errors: KACLS_ERRORS },
] as const

for (const { section, errors } of PAGES) {
  const lines = readFileSync(join(ROOT, 'docs', `${section}.md`), 'utf8').split('\n')

  test(`docs/${section}.md: the configuration that it gives is one that the program takes`, () => {
    const [, block = ''] = /```yaml\n# ekm\.yaml\n([\s\S]*?)```/.exec(lines.join('\n')) ?? []
    writeFileSync(join(folder, 'ekm.yaml'), block)
    const config = loadConfig(join(folder, 'ekm.yaml'), ekmConfig, { env: {}, files: false })
    assert.deepEqual(Object.keys(config[section]?.tenants ?? {}), ['acme'])
  })

  test(`docs/${section}.md: every error with its status`, () => {
    for (const [name, status] of Object.entries(errors))
      assert.ok(
        lines.some(line => line.startsWith(`| ${status} | \`${name}\` |`)),
        name,
      )
  })

  test(`docs/${section}.md: every command of holdfast ekm that it names is there, with its options`, () => {
    commandsAreThere(lines, 3)
  })
}
