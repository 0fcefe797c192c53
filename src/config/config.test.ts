import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import fc from 'fast-check'
import { ekmConfig } from './ekm.ts'
import { kmsConfig } from './kms.ts'
import { loadConfig, parseConfig } from './load.ts'
import { isLoopback } from './loopback.ts'
import { ConfigError, editDistance, nearest } from './problems.ts'
import { rootConfig } from './shared.ts'
import { settings } from './tree.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-config-'))
after(() => rmSync(folder, { recursive: true }))
let files = 0
function write(text: string): string {
  const file = join(folder, `${++files}.yaml`)
  writeFileSync(file, text)
  return file
}
function problems(text: string, definition: typeof kmsConfig | typeof ekmConfig = kmsConfig, env = {}): string[] {
  try {
    loadConfig(write(text), definition as typeof kmsConfig, { env })
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    return error.problems.map(({ line, path, message }) => `${line ?? '-'} ${path}: ${message}`)
  }
  return []
}

const GOOD = `data: ./data
regions: [eu-central-1, us-east-1]
boundary:
  root:
    kind: keyfile
    file: root.key
`

describe('a configuration file', () => {
  it('is completed with defaults and absolute paths', () => {
    const config = loadConfig(write(GOOD), kmsConfig, { env: {} })
    assert.equal(config.data, join(folder, 'data'))
    assert.deepEqual(config.boundary.root, { kind: 'keyfile', file: join(folder, 'root.key') })
    assert.equal(config.listen.port, 8443)
    assert.equal(config.limits.bodyBytes, 1024 * 1024)
    assert.equal(config.logging.level, 'info')
    assert.deepEqual(config.xks.hosts, {})
    assert.deepEqual(config.attestation.roots, [])
  })

  it('names files in lists from its own folder, and says which of them is not there', () => {
    writeFileSync(join(folder, 'root.pem'), '')
    const text = (names: string): string => `${GOOD}attestation:\n  roots: [${names}]\n`
    const config = loadConfig(write(text('root.pem')), kmsConfig, { env: {} })
    assert.deepEqual(config.attestation.roots, [join(folder, 'root.pem')])
    assert.deepEqual(problems(text('root.pem, away.pem')), [
      `8 attestation.roots.1: there is no file ${join(folder, 'away.pem')}`,
    ])
  })

  it('may be JSON', () => {
    const config = loadConfig(
      write(JSON.stringify({ data: 'd', boundary: { root: { kind: 'passphrase' } } })),
      ekmConfig,
      { env: {} },
    )
    assert.equal(config.replay.repeatMs, 2000)
  })

  it('promise 11: every problem is listed at once, with line, path and the nearest right name', () => {
    const found = problems(`data: ./data
regions: [eu-central-1, Europe]
boundary:
  root:
    kind: keyfil
listen:
  prt: 8443
  host: 127.0.0.1
xks:
  hosts:
    foo:
      conect: ekm:443
loging: {level: info}
logging:
  level: inof
limits: {bodyBytes: many}
`)
    assert.deepEqual(found, [
      '2 regions.1: must look like eu-central-1',
      '5 boundary.root.kind: must be one of keyfile, passphrase, pkcs11, shares; did you mean "keyfile"?',
      '7 listen.prt: unknown; did you mean "port"?',
      '12 xks.hosts.foo.connect: missing: where to connect to instead: host:port',
      '12 xks.hosts.foo.conect: unknown; did you mean "connect"?',
      '13 loging: unknown; did you mean "logging"?',
      '15 logging.level: must be one of fatal, error, warn, info, debug; did you mean "info"?',
      '16 limits.bodyBytes: must be a number',
    ])
  })

  it('refuses what is no map, does not parse, repeats a name, or is not there', () => {
    assert.deepEqual(problems('- a\n'), ['1 : must be a map of settings'])
    assert.match(problems('a: [1\n')[0] ?? '', /^\d+ : /)
    assert.match(problems('data: a\ndata: b\n')[0] ?? '', /^2 : Map keys must be unique/)
    assert.deepEqual(problems('a: &x 1\nb: *x\n'), ['- : aliases (*name) may not be used'])
    assert.throws(() => loadConfig(join(folder, 'none.yaml'), kmsConfig, { env: {} }), /cannot be read \(ENOENT\)/)
  })

  it('plain HTTP is for loopback only', () => {
    assert.deepEqual(problems(`${GOOD}listen:\n  host: 0.0.0.0\n`), [
      '8 listen.host: is not loopback: set listen.tls, or listen on 127.0.0.1',
    ])
    assert.match(problems(`${GOOD}operations:\n  host: 10.0.0.1\n`)[0] ?? '', /^8 operations.host: must be loopback/)
  })

  it('checks the files that it names, and closes secrets to others', () => {
    const key = join(folder, 'tls.key')
    writeFileSync(key, 'x')
    chmodSync(key, 0o644)
    const text = `${GOOD}listen:\n  tls:\n    certificateFile: none.pem\n    keyFile: tls.key\n`
    assert.deepEqual(problems(text), [
      `9 listen.tls.certificateFile: there is no file ${join(folder, 'none.pem')}`,
      `10 listen.tls.keyFile: ${key} holds a secret and others may read it (mode 0644); run: chmod 0600 ${key}`,
    ])
    chmodSync(key, 0o600)
    assert.equal(problems(text).length, 1)
    mkdirSync(join(folder, 'root.key'))
    assert.match(problems(GOOD)[0] ?? '', /6 boundary.root.file: .* is not a file/)
    rmSync(join(folder, 'root.key'), { recursive: true })
  })

  it('a token needs exactly one way to be found and to be opened', () => {
    const module = join(folder, 'module.so')
    writeFileSync(module, '')
    const token = (rest: string) => `data: d\nboundary:\n  root:\n    kind: pkcs11\n    module: module.so\n${rest}`
    assert.deepEqual(problems(token(''), ekmConfig), [
      '4 boundary.root.tokenLabel: give either tokenLabel or tokenSlot',
      '4 boundary.root.pinFile: give either pinFile or pinEnv',
    ])
    const config = loadConfig(write(token('    tokenLabel: t\n    pinEnv: PIN\n')), ekmConfig, { env: {} })
    assert.deepEqual(rootConfig(config.boundary.root), {
      kind: 'pkcs11',
      module,
      token: { label: 't' },
      pin: { environment: 'PIN' },
      rootLabel: 'holdfast-root',
    })
  })

  it('a key gets its next version before the last one is refused', () => {
    const ekm = (rest: string) => `data: d\nboundary:\n  root: { kind: passphrase }\n${rest}`
    assert.deepEqual(problems(ekm('  maxEncryptions: 1000\n  renewAfter: 1000\n'), ekmConfig), [
      '5 boundary.renewAfter: must be below boundary.maxEncryptions',
    ])
    assert.deepEqual(problems(ekm('  maxEncryptions: 1000\n  renewAfter: 999\n'), ekmConfig), [])
    assert.equal(problems(ekm('  maxEncryptions: 2147483649\n'), ekmConfig).length, 1)
  })
})

describe('the environment', () => {
  it('overrides documented settings, and no others', () => {
    const env = {
      HOLDFAST_KMS_LISTEN_PORT: '9000',
      HOLDFAST_KMS_REGIONS: 'eu-west-1, eu-west-2',
      HOLDFAST_EKM_DATA: 'x',
    }
    const config = loadConfig(write(GOOD), kmsConfig, { env })
    assert.equal(config.listen.port, 9000)
    assert.deepEqual(config.regions, ['eu-west-1', 'eu-west-2'])
    assert.deepEqual(problems(GOOD, kmsConfig, { HOLDFAST_KMS_LISTEN_PROT: '1', HOLDFAST_KMS_LISTEN_PORT: 'no' }), [
      '- : environment variable HOLDFAST_KMS_LISTEN_PROT overrides no setting; did you mean "HOLDFAST_KMS_LISTEN_PORT"?',
      '- listen.port: must be a number (from HOLDFAST_KMS_LISTEN_PORT)',
    ])
  })

  it('never reaches a configuration that the program made', () => {
    const raw = { data: folder, regions: ['eu-west-1'], boundary: { root: { kind: 'passphrase' as const } } }
    assert.equal(parseConfig(kmsConfig, raw).listen.port, 8443)
  })
})

describe('the list of settings', () => {
  for (const definition of [kmsConfig, ekmConfig]) {
    it(`of ${definition.service} describes every one, and every override names one`, () => {
      const all = settings(definition.schema)
      for (const { path, description } of all) assert.notEqual(description, '', path)
      const paths = new Set(all.map(setting => setting.path))
      for (const path of Object.values(definition.environment)) assert.ok(paths.has(path), path)
      assert.ok(paths.has('boundary.root.pinFile'))
    })
  }

  it('says which are required and what the defaults are', () => {
    const of = (path: string) => settings(kmsConfig.schema).find(setting => setting.path === path)
    assert.deepEqual(
      [of('data')?.requiredBy, of('regions')?.type, of('listen.port')?.default, of('xks.hosts.*.connect')?.type],
      ['', 'list of string', '8443', 'string'],
    )
    assert.deepEqual(of('listen.port')?.range, [0, 65535])
    assert.equal(of('logging.level')?.requiredBy, undefined)
    assert.equal(of('listen.tls')?.requiredBy, undefined)
    assert.equal(of('listen.tls.certificateFile')?.requiredBy, 'listen.tls')
    assert.equal(of('boundary.root.kind')?.type, 'keyfile | passphrase | pkcs11 | shares')
    assert.equal(of('boundary.root.module')?.requiredBy, 'boundary.root.kind pkcs11')
  })
})

describe('names that are nearly right', () => {
  it('editDistance is a metric that counts swaps once', () => {
    assert.equal(editDistance('conect', 'connect'), 1)
    assert.equal(editDistance('prot', 'port'), 1)
    const word = fc.string({ maxLength: 8, unit: fc.constantFrom('a', 'b', 'c') })
    fc.assert(
      fc.property(word, word, (a, b) => {
        assert.equal(editDistance(a, b), editDistance(b, a))
        assert.equal(editDistance(a, b) === 0, a === b)
        assert.ok(editDistance(a, b) <= Math.max(a.length, b.length))
        assert.ok(editDistance(a, b) >= Math.abs(a.length - b.length))
      }),
    )
  })
  it('offers nothing where nothing is near', () => {
    assert.equal(nearest('colour', ['port', 'host']), undefined)
    assert.equal(nearest('prt', ['port', 'host']), 'port')
  })
  it('knows loopback', () => {
    for (const host of ['127.0.0.1', '127.9.9.9', '::1', 'localhost', '::ffff:127.0.0.1'])
      assert.ok(isLoopback(host), host)
    for (const host of ['0.0.0.0', '::', '10.0.0.1', '128.0.0.1', 'localhost.example.com', ''])
      assert.ok(!isLoopback(host), host)
  })
})
