/**
 * What is published, as its user gets it: `npm pack`, installed into an empty folder, and run with npx. How long it takes is printed and not judged: the
 * machine that runs the tests may be busy with others.
 */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import pkg from '../package.json' with { type: 'json' }
import type { DevLine } from '../src/kms/dev.ts'
import { ApiClient } from './support/kms.ts'

interface Dev {
  readonly line: DevLine
  stop(): Promise<void>
}

const ROOT = resolve(import.meta.dirname, '..')
const work = mkdtempSync(join(tmpdir(), 'holdfast-package-'))
const installed = join(work, 'app')
const contents = join(installed, 'node_modules', 'holdfast')
/** The user's own Node, not the one that the tests run with: npm's scripts put that first. */
const env = {
  ...process.env,
  PATH: (process.env.PATH ?? '')
    .split(delimiter)
    .filter(folder => !folder.startsWith(ROOT))
    .join(delimiter),
}
let files: readonly string[] = []

const MB = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`

function run(command: string, args: readonly string[], cwd: string): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, env, encoding: 'utf8', maxBuffer: 1 << 26 })
  assert.equal(status, 0, `${command} ${args.join(' ')}: ${error?.message ?? ''}${stdout}${stderr}`)
  return stdout
}

const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name))

before(() => {
  run('npm', ['pack', '--silent', '--pack-destination', work], ROOT)
  const tarball = join(work, `holdfast-${pkg.version}.tgz`)
  mkdirSync(installed)
  run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts', tarball], installed)
  files = run('tar', ['-tzf', tarball], work)
    .trim()
    .split('\n')
    .map(name => name.replace(/^package\//, ''))
  const below = filesBelow(join(installed, 'node_modules')).reduce((sum, file) => sum + statSync(file).size, 0)
  console.log(`tarball ${MB(statSync(tarball).size)}, ${files.length} files; installed with all it needs ${MB(below)}`)
})
after(() => rmSync(work, { recursive: true, force: true }))

test('the tarball holds what runs, its documentation, and nothing else', () => {
  const top = new Set(files.map(name => name.split('/')[0]))
  assert.deepEqual([...top].sort(), ['README.md', 'bin', 'deploy', 'dist', 'docs', 'package.json'])
  assert.deepEqual(
    files.filter(name => name.startsWith('bin/')),
    ['bin/holdfast'],
  )
  const strange = files.filter(
    name => /\.test\.|\/testing|\.tsbuildinfo$|\.(?:key|pem|tgz|log)$/.test(name) || /(?<!\.d)\.ts$/.test(name),
  )
  assert.deepEqual(strange, [])
  for (const name of files) {
    const text = readFileSync(join(contents, name), 'utf8')
    for (const place of [ROOT, homedir(), work])
      assert.ok(place.length < 6 || !text.includes(`${place}/`), `${name} names ${place}`)
    // Of the example of a seed the key is a part, and opens nothing.
    if (name !== 'docs/emulator.md')
      assert.doesNotMatch(text, /-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\n|"_authToken"|_resolved/, name)
  }
})

const scripts = (): readonly string[] => files.filter(name => name.startsWith('dist/') && name.endsWith('.js'))
const sourcesOf = (name: string): { readonly sources: string[]; readonly sourcesContent: string[] } =>
  JSON.parse(readFileSync(join(contents, `${name}.map`), 'utf8'))

test('every JavaScript file has a source map that holds its sources', () => {
  assert.ok(scripts().length > 50)
  for (const name of scripts()) {
    assert.match(
      readFileSync(join(contents, name), 'utf8'),
      new RegExp(`//# sourceMappingURL=${name.split('/').at(-1)}\\.map\\s*$`),
      name,
    )
    const { sources, sourcesContent } = sourcesOf(name)
    for (const [index, source] of sources.entries()) {
      const path = resolve(ROOT, dirname(name), source)
      assert.ok(path.startsWith(join(ROOT, 'src')), `${name} is made of ${path}`)
      assert.equal(sourcesContent[index], readFileSync(path, 'utf8'), path)
    }
  }
})

test('what holds the keys is one file, of the boundary’s modules alone, and imports node:* and the PKCS#11 binding', () => {
  const main = 'dist/boundary/service/main.js'
  const { sources } = sourcesOf(main)
  assert.ok(sources.length > 100)
  for (const source of sources)
    assert.ok(resolve(ROOT, dirname(main), source).startsWith(join(ROOT, 'src', 'boundary')), source)
  const text = readFileSync(join(contents, main), 'utf8')
  const imported = [...text.matchAll(/^import\s[^'"]*['"]([^'"]+)['"]|\bimport\(/gm)].map(([, name]) => name ?? '')
  assert.ok(imported.includes('koffi') && imported.length > 10, imported.join())
  assert.deepEqual(
    imported.filter(name => !name.startsWith('node:') && name !== 'koffi'),
    [],
  )
  // Made to be read: with what was written beside the code, and under the names that it has there.
  const source = readFileSync(join(ROOT, 'src/boundary/service/main.ts'), 'utf8')
  assert.ok(text.includes(source.slice(0, source.indexOf('*/'))))
  assert.match(text, /^async function startBoundary\(/m)
})

test('nothing for development is installed', () => {
  const names = readdirSync(join(installed, 'node_modules'))
  for (const name of ['@biomejs', 'typescript', '@typescript', 'rollup', 'fast-check', 'playwright-core'])
    assert.ok(!names.includes(name), name)
  // The Node that runs it is there, one of the three.
  assert.equal(names.filter(name => /^node-(?:bin-)?(?:linux|darwin)-/.test(name)).length, 1)
})

test('types resolve, and say what the functions take', () => {
  const check = (program: string): { status: number | null; stdout: string } => {
    writeFileSync(join(installed, 'use.mts'), program)
    writeFileSync(
      join(installed, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: {
          strict: true,
          noEmit: true,
          module: 'nodenext',
          target: 'es2024',
          // A library's users should not have to skip its checks.
          skipLibCheck: false,
          typeRoots: [join(ROOT, 'node_modules', '@types')],
          types: ['node'],
        },
        files: ['use.mts'],
      }),
    )
    return spawnSync(join(ROOT, 'node_modules', '.bin', 'tsc'), ['-p', installed], { env, encoding: 'utf8' })
  }
  const right = `
    import { type DevService, startKmsDev } from 'holdfast/kms'
    import { startEkmDev } from 'holdfast/ekm'
    const kms: DevService = await startKmsDev({ port: 0, account: '000000000000', regions: ['eu-west-1'], data: undefined, credential: undefined })
    const endpoint: string = kms.line.endpoint
    console.log(endpoint, startEkmDev)
    await kms.stop()`
  const { status, stdout } = check(right)
  assert.equal(status, 0, stdout)
  const wrong = check(right.replace('port: 0', "port: '0'"))
  assert.notEqual(wrong.status, 0)
  assert.match(wrong.stdout, /Type 'string' is not assignable to type 'number'/)
})

test('npx holdfast --version', () => {
  assert.equal(run('npx', ['holdfast', '--version'], installed).trim(), pkg.version)
})

/** The command, started as one would in a terminal; its stop is that of Ctrl-C, which reaches all of the group. */
async function startDev(command: string, args: readonly string[], what: string): Promise<Dev> {
  const started = performance.now()
  const child = spawn(command, args, { cwd: installed, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  let said = ''
  child.stderr.on('data', chunk => {
    said += String(chunk)
  })
  const line = await new Promise<string>((ready, failed) => {
    createInterface({ input: child.stdout }).once('line', ready)
    child.once('exit', code => failed(new Error(`it ended with ${code}: ${said}`)))
  })
  console.log(`${what}: ready in ${(performance.now() - started).toFixed(0)} ms`)
  return {
    line: JSON.parse(line),
    async stop() {
      const ended = new Promise(done => child.once('close', done))
      process.kill(-(child.pid ?? 0), 'SIGINT')
      await ended
    },
  }
}

test('npx holdfast kms --dev serves, the first time and again', async () => {
  const npx = ['npx', ['holdfast', 'kms', '--dev']] as const
  const itself = [join(installed, 'node_modules', '.bin', 'holdfast'), ['kms', '--dev']] as const
  for (const [[command, args], what] of [
    [npx, 'npx holdfast kms --dev, the first start'],
    [npx, 'npx holdfast kms --dev, once it is compiled'],
    [itself, 'the same without npx'],
  ] as const) {
    const { line, stop } = await startDev(command, args, what)
    const { endpoint, accessKeyId, secretAccessKey, data } = line
    const client = new ApiClient(endpoint, { accessKeyId, secretAccessKey })
    const { KeyMetadata } = await client.ok('CreateKey')
    const Plaintext = Buffer.from('as installed').toString('base64')
    const { CiphertextBlob } = await client.ok('Encrypt', { KeyId: KeyMetadata.KeyId, Plaintext })
    assert.equal((await client.ok('Decrypt', { CiphertextBlob })).Plaintext, Plaintext)
    // A private operation on a thread of its own: the threads' files are found too.
    const { KeyMetadata: rsa } = await client.ok('CreateKey', { KeySpec: 'RSA_2048', KeyUsage: 'SIGN_VERIFY' })
    const signed = { KeyId: rsa.KeyId, Message: Plaintext, SigningAlgorithm: 'RSASSA_PSS_SHA_256' }
    assert.ok((await client.ok('Sign', signed)).Signature)
    client.close()
    await stop()
    assert.ok(!existsSync(data), 'the temporary folder is gone')
  }
})

test('a boundary runs where no memory may be writable and executable', async () => {
  const config = join(work, 'kms.yaml')
  const data = join(work, 'data')
  writeFileSync(
    config,
    `data: ${data}\nlisten: { port: 1 }\nregions: [us-east-1]\naccount: '000000000000'\nboundary: { root: { kind: keyfile, file: ${join(work, 'root.key')} } }\n`,
  )
  // As systemd has it for MemoryDenyWriteExecute=: prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN); older kernels do not know it.
  const refusing =
    'import ctypes, os, sys; ctypes.CDLL(None).prctl(65, 1, 0, 0, 0); os.execvp(sys.argv[1], sys.argv[1:])'
  const holdfast = join(installed, 'node_modules', '.bin', 'holdfast')
  const child = spawn('python3', ['-c', refusing, holdfast, 'kms', 'boundary', '--config', config], {
    env: { ...env, NODE_OPTIONS: '--jitless' },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const ended = new Promise(done => child.once('exit', done))
  let said = ''
  await new Promise<void>((ready, failed) => {
    child.stderr.on('data', chunk => {
      said += String(chunk)
      if (said.includes('"msg":"ready"')) ready()
    })
    child.once('exit', code => failed(new Error(`it ended with ${code}: ${said}`)))
  })
  assert.doesNotMatch(readFileSync(`/proc/${child.pid}/maps`, 'utf8'), /\brwx/)
  child.kill('SIGTERM')
  await ended
})

test('npx holdfast demo --once', () => {
  const output = run('npx', ['holdfast', 'demo', '--once', '--dir', join(work, 'demo')], installed)
  assert.match(output, /Hold your own key/)
  assert.ok(existsSync(join(work, 'demo', 'report.html')))
})
