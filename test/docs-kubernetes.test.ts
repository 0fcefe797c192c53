/** The configurations that docs/kubernetes.md gives are ones that the programs take. That of the API server: test/clients/kubernetes.test.ts. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { ekmConfig } from '../src/config/ekm.ts'
import { pluginConfig } from '../src/config/kubernetes-plugin.ts'
import { loadConfig } from '../src/config/load.ts'
import { ERROR_NAMES } from '../src/ekm/protocols/kubernetes/errors.ts'
import { MAX_PLAINTEXT } from '../src/ekm/protocols/kubernetes/messages.ts'
import { ROOT } from './support/ekm.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-docs-'))
after(() => rmSync(folder, { recursive: true }))

const text = readFileSync(join(ROOT, 'docs', 'kubernetes.md'), 'utf8')
const blocks = [...text.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, block = '']) => block)
const blockWith = (start: string): string => {
  const found = blocks.filter(block => block.startsWith(start))
  assert.equal(found.length, 1, start)
  return found[0] ?? ''
}
const file = (content: string): string => {
  const path = join(folder, 'a.yaml')
  writeFileSync(path, content)
  return path
}
const SERVICE = 'data: data\nboundary: { root: { kind: keyfile, file: root.key } }\n'

test('the key manager takes a socket as documented', () => {
  const config = loadConfig(file(SERVICE + blockWith('kubernetes:\n  sockets:')), ekmConfig, { env: {} })
  assert.deepEqual(config.kubernetes, {
    sockets: [{ path: '/run/holdfast/kms.sock', tenant: 'clusters/prod', key: 'etcd' }],
  })
})

test('the key manager takes the listener as documented', () => {
  const config = loadConfig(file(SERVICE + blockWith('kubernetes:\n  listen:')), ekmConfig, { env: {}, files: false })
  assert.equal(config.kubernetes?.listen?.port, 8446)
  assert.deepEqual(config.kubernetes?.listen?.tls.clients.subjects, [])
})

test('the plugin takes its configuration as documented', () => {
  const config = loadConfig(file(blockWith('socket:')), pluginConfig, { env: {}, files: false })
  assert.equal(config.ekm.host, 'ekm.example.com')
  assert.equal(config.deadlineMs, 2500)
})

test('two sockets of one path are refused, and a listener without client certificates', () => {
  const socket = '{ path: /run/a.sock, tenant: a, key: k }'
  assert.throws(
    () => loadConfig(file(`${SERVICE}kubernetes: { sockets: [${socket}, ${socket}] }`), ekmConfig, { env: {} }),
    /kubernetes\.sockets\.1\.path: is given twice/,
  )
  const tls = 'tls: { certificateFile: a.pem, keyFile: a.key }'
  assert.throws(
    () => loadConfig(file(`${SERVICE}kubernetes: { listen: { ${tls} } }`), ekmConfig, { env: {}, files: false }),
    /kubernetes\.listen\.tls\.clients: missing/,
  )
})

test('every code that a failure has is explained, and the bound of the plaintext is right', () => {
  for (const code of Object.values(ERROR_NAMES)) assert.ok(text.includes(`| ${code} |`), code)
  assert.ok(text.includes(`1 to ${MAX_PLAINTEXT} bytes`))
})
