/**
 * `holdfast init kms` as a platform team has it: what it writes starts, its first user can use it over TLS, every command that it prints does what it says, and
 * what it asks on a terminal is what its flags say.
 */
import assert from 'node:assert/strict'
import { execFile, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import https from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { generateIdentity, identityToRecipient } from 'age-encryption'
import { parse } from 'yaml'
import { parseKit } from '../src/boundary/root/kit.ts'
import { makeAuthority } from '../src/http/certificates.ts'
import type { Step } from '../src/setup/init/steps.ts'
import { holdfast, ROOT } from './support/ekm.ts'
import { freePort } from './support/kms.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-init-kms-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const run = promisify(execFile)

interface Made {
  readonly config: string
  readonly certificates: readonly string[]
  readonly steps: readonly Step[]
  readonly backup?: { readonly file?: string; readonly problem?: string }
  readonly credential?: { readonly principal: string; readonly accessKeyId: string; readonly secretAccessKey: string }
}

async function init(name: string, ...args: string[]): Promise<Made> {
  const { code, stdout, stderr } = await holdfast(['init', 'kms', join(folder, name), '--yes', '--json', ...args])
  assert.equal(code, 0, stderr)
  return JSON.parse(stdout)
}

interface Started {
  readonly line: { readonly endpoint: string; readonly data: string }
  stop(): Promise<void>
}

async function start(config: string): Promise<Started> {
  const child = spawn(join(ROOT, 'bin/holdfast'), ['kms', '--config', config], { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  child.stderr.on('data', text => {
    said += String(text)
  })
  const ended = new Promise(done => child.once('exit', done))
  const line = await new Promise<string>((ready, failed) => {
    createInterface({ input: child.stdout }).once('line', ready)
    child.once('exit', code => failed(new Error(`ended with ${code}: ${said}`)))
  })
  return {
    line: JSON.parse(line),
    stop: async () => {
      child.kill('SIGTERM')
      await ended
    },
  }
}

/** Words of the commands of all steps; these hold no quotes. */
const commands = (steps: readonly Step[]): string[][] =>
  steps.flatMap(({ lines }) => lines).map(line => line.split(' '))

test('from nothing to a key of one’s own: each printed command runs as it is printed', async () => {
  const port = String(await freePort())
  const args = [
    '--port',
    port,
    '--regions',
    'eu-central-1,us-east-1',
    '--account',
    '111122223333',
    '--administrator',
    'ann',
  ]
  const recipient = await identityToRecipient(await generateIdentity())
  const { config, certificates, steps, credential, backup } = await init('whole', ...args, '--recipient', recipient)
  assert.match(readFileSync(backup?.file ?? '', 'latin1'), /^age-encryption.org\/v1\n/)
  assert.equal(credential?.principal, 'arn:aws:iam::111122223333:user/ann')
  for (const file of [config, join(folder, 'whole', 'root.key')]) assert.equal(statSync(file).mode & 0o777, 0o600)
  for (const file of certificates)
    assert.equal(statSync(file).mode & 0o777, file.endsWith('.key') ? 0o600 : 0o644, file)
  assert.equal(statSync(join(folder, 'whole')).mode & 0o777, 0o700)
  const [first, ...then] = commands(steps)
  assert.deepEqual(first, ['holdfast', 'kms', '--config', config])
  const kms = await start(config)
  try {
    const env = {
      ...process.env,
      AWS_ACCESS_KEY_ID: credential?.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credential?.secretAccessKey,
    }
    const programs: string[] = []
    for (const [program = '', ...words] of then) {
      programs.push(program)
      const done =
        program === 'holdfast'
          ? await holdfast(words)
          : await run(program, words, { env }).then(out => ({ ...out, code: 0 }))
      assert.equal(done.code, 0, `${program} ${words.join(' ')}: ${done.stdout}${done.stderr}`)
      if (program === 'aws') assert.equal(JSON.parse(done.stdout).KeyMetadata.AWSAccountId, '111122223333')
    }
    assert.deepEqual(programs, ['aws', 'holdfast', 'holdfast', 'holdfast'])
    const kit = readFileSync(join(folder, 'whole', 'root.kit'))
    assert.deepEqual(parseKit(kit).rootFile, readFileSync(join(folder, 'whole', 'data', 'boundary', 'root')))
  } finally {
    await kms.stop()
  }
})

test('where it is not to be started the same is printed as commands, and they make the same', async () => {
  const port = String(await freePort())
  const made = await init('later', '--no-start', '--port', port, '--account', '111122223333', '--administrator', 'ann')
  assert.equal(made.credential, undefined)
  assert.equal(existsSync(join(folder, 'later', 'data')), false)
  const kms = await start(made.config)
  try {
    let credential: Record<string, string> = {}
    for (const [program, ...words] of commands(made.steps).slice(1)) {
      if (program !== 'holdfast') continue
      const { code, stdout, stderr } = await holdfast(words[0] === 'kms' ? [...words, '--json'] : words)
      assert.equal(code, 0, `${words.join(' ')}: ${stdout}${stderr}`)
      if (words[1] === 'credential') credential = JSON.parse(stdout)
    }
    assert.equal(credential.principal, 'arn:aws:iam::111122223333:user/ann')
  } finally {
    await kms.stop()
  }
})

test('on a terminal it asks for what no flag has given, and again where an answer is wrong', {
  timeout: 60_000,
}, async () => {
  const dir = join(folder, 'asked')
  const command = `${join(ROOT, 'bin/holdfast')} init kms ${dir} --port 0 --administrator ann --no-start`
  const users = process.geteuid?.() === 0 ? ['none'] : []
  // Host (an address is refused), Regions, account (the default), root, users, backups.
  const answers = ['10.0.0.1', 'kms.acme.example', 'eu-central-1', '', 'passphrase', ...users, 'none']
  const child = spawn('script', ['-qefc', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] })
  let seen = ''
  child.stdout.on('data', text => {
    seen += String(text)
  })
  child.stdin.write(answers.map(answer => `${answer}\n`).join(''))
  const code = await new Promise(ended => child.once('exit', ended))
  child.stdin.end()
  assert.equal(code, 0, seen)
  assert.match(seen, /it must be a host name, not an address/)
  assert.doesNotMatch(seen, /On which port/)
  const config = parse(readFileSync(join(dir, 'kms.yaml'), 'utf8'))
  assert.deepEqual(
    [config.listen.host, config.regions, config.boundary.root],
    ['0.0.0.0', ['eu-central-1'], { kind: 'passphrase' }],
  )
  assert.match(seen, new RegExp(`holdfast unlock --data ${dir}/data`))
})

test('a certificate that is given is taken as it is', async () => {
  const authority = await makeAuthority('somebody', 30)
  const { certificate, key } = await authority.issue({
    commonName: 'localhost',
    dnsNames: ['localhost'],
    use: 'server',
  })
  const [certificateFile, keyFile] = [join(folder, 'given.pem'), join(folder, 'given.key')]
  writeFileSync(certificateFile, certificate)
  writeFileSync(keyFile, key, { mode: 0o600 })
  const made = await init('given', '--certificate', certificateFile, '--certificate-key', keyFile, '--port', '0')
  assert.deepEqual(made.certificates, [])
  assert.equal(existsSync(join(folder, 'given', 'tls')), false)
  const kms = await start(made.config)
  try {
    const status = await new Promise((done, failed) => {
      const url = kms.line.endpoint.replace('127.0.0.1', 'localhost')
      https.get(url, { ca: authority.certificate }, answer => done(answer.statusCode)).once('error', failed)
    })
    assert.equal(typeof status, 'number')
  } finally {
    await kms.stop()
  }
})

test('two users: the front end reads its certificate’s key, the boundary the root, and the doctor finds them apart', {
  skip: process.geteuid?.() !== 0 && 'only root can start a service as two others',
}, async t => {
  // The two must be able to read the program.
  if (
    execFileSync('sh', ['-c', `su -s /bin/sh nobody -c 'test -r ${ROOT}/package.json' && echo yes || echo no`], {
      encoding: 'utf8',
    }) !== 'yes\n'
  )
    return t.skip('other users cannot read this clone')
  execFileSync('chmod', ['711', folder])
  const { config, credential } = await init('users', '--users', 'daemon,nobody', '--port', '0')
  assert.ok(credential)
  const kms = await start(config)
  try {
    const { code, stdout } = await holdfast(['doctor', '--config', config, '--json'])
    assert.equal(code, 0, stdout)
    const names = (JSON.parse(stdout) as { name: string }[]).map(({ name }) => name)
    for (const name of ['users-two', 'process-closed', 'folder-closed', 'root-open'])
      assert.ok(names.includes(name), name)
  } finally {
    await kms.stop()
  }
})

test('nothing that is there is overwritten', async () => {
  const { config } = await init('twice', '--no-start')
  const before = readFileSync(config, 'utf8')
  const again = await holdfast(['init', 'kms', join(folder, 'twice'), '--yes'])
  assert.deepEqual([again.code, readFileSync(config, 'utf8')], [1, before])
  assert.match(again.stderr, /is there already/)
  rmSync(config)
  rmSync(join(folder, 'twice', 'tls'), { recursive: true })
  const root = readFileSync(join(folder, 'twice', 'root.key'), 'utf8')
  const withRoot = await holdfast(['init', 'kms', join(folder, 'twice'), '--yes'])
  assert.match(withRoot.stderr, /root\.key: something of that name is already there/)
  assert.equal(readFileSync(join(folder, 'twice', 'root.key'), 'utf8'), root)
})

test('what is wrong or missing is said with its flag, and nothing is written', async () => {
  const wrong: [RegExp, ...string[]][] = [
    [/--host: .*not an address/, '--host', '10.0.0.1'],
    [/--port: /, '--port', '70000'],
    [/--regions: /, '--regions', 'here'],
    [/--account: it must be 12 digits/, '--account', '12'],
    [/--administrator: /, '--administrator', 'a b'],
    [/--root: one of/, '--root', 'paper'],
    [/Give it: --module/, '--root', 'pkcs11'],
    [/Give it: --pin-file/, '--root', 'pkcs11', '--module', 'm.so', '--token-label', 'a'],
    [/--recipient: .* is no recipient/, '--recipient', 'age1x'],
    [/--users: two different/, '--users', 'a,a'],
    [/together/, '--certificate', 'x.pem'],
  ]
  for (const [expected, ...args] of wrong) {
    const { code, stderr } = await holdfast(['init', 'kms', join(folder, 'wrong'), '--yes', ...args])
    assert.equal(code, 1, args.join(' '))
    assert.match(stderr, expected)
  }
  assert.equal(existsSync(join(folder, 'wrong')), false)
  const secrets = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(
    each => each.isFile() && each.name.endsWith('.key'),
  )
  for (const { parentPath, name } of secrets) assert.equal(statSync(join(parentPath, name)).mode & 0o077, 0, name)
})
