// `npm test`: every test. Installs what it needs first: npm packages, and Debian packages where it may.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { installClients } from './clients.mjs'
import { environment, fail, installPackages, root, runNode } from './lib.mjs'

const nssModules = ['x86_64-linux-gnu', 'aarch64-linux-gnu'].map(machine => `/usr/lib/${machine}/libsoftokn3.so`)

const fakeTimes = ['x86_64-linux-gnu', 'aarch64-linux-gnu'].map(
  machine => `/usr/lib/${machine}/faketime/libfaketimeMT.so.1`,
)

/** What the tests run besides npm packages: how it is recognised, and the Debian package that has it. */
const components = [
  { name: 'SoftHSM2', has: () => onPath('softhsm2-util'), debian: 'softhsm2' },
  { name: 'libfaketime', has: () => fakeTimes.some(existsSync), debian: 'libfaketime' },
  { name: 'NSS', has: () => nssModules.some(existsSync), debian: 'libnss3' },
  { name: 'pkcs11-tool', has: () => onPath('pkcs11-tool'), debian: 'opensc' },
  { name: 'curl', has: () => onPath('curl'), debian: 'curl' },
  { name: 'AWS CLI', has: () => existsSync('/usr/bin/aws') || onPath('aws'), debian: 'awscli' },
  { name: 'age', has: () => onPath('age') && onPath('age-keygen'), debian: 'age' },
  { name: 'OpenSSL', has: () => onPath('openssl'), debian: 'openssl' },
  { name: 'Python 3', has: () => onPath('python3'), debian: 'python3' },
  { name: 'Python’s venv', has: () => succeeds('python3', ['-c', 'import ensurepip, venv']), debian: 'python3-venv' },
  { name: 'Go', has: () => existsSync('/usr/local/go/bin/go') || onPath('go'), debian: 'golang-go' },
  { name: 'systemd', has: () => onPath('systemd-analyze') && onPath('systemd-sysusers'), debian: 'systemd' },
  { name: 'Chromium', has: () => onPath('chromium'), debian: 'chromium' },
  { name: 'zsh', has: () => onPath('zsh'), debian: 'zsh' },
  { name: 'fish', has: () => onPath('fish'), debian: 'fish' },
]

function succeeds(command, args) {
  return spawnSync(command, args).status === 0
}

function onPath(command) {
  return succeeds('sh', ['-c', `command -v ${command}`])
}

function installComponents() {
  const missing = components.filter(component => !component.has())
  if (missing.length === 0) return
  const names = missing.map(component => component.debian)
  const how = `apt-get install ${names.join(' ')}`
  const elevate =
    process.getuid?.() === 0
      ? []
      : onPath('sudo') && spawnSync('sudo', ['-n', 'true']).status === 0
        ? ['sudo', '-n']
        : undefined
  if (!onPath('apt-get') || !elevate) {
    fail(
      `the tests need ${missing.map(component => component.name).join(', ')}, and may not install it. As root: ${how}`,
    )
  }
  console.error(`holdfast: installing ${names.join(', ')} for the tests …`)
  const apt = args =>
    spawnSync(elevate[0] ?? 'apt-get', [...elevate.slice(1), ...(elevate.length ? ['apt-get'] : []), ...args], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    })
  apt(['update', '-qq'])
  apt(['install', '-y', '-qq', '--no-install-recommends', ...names])
  const still = components.filter(component => !component.has())
  if (still.length > 0) fail(`could not install ${still.map(component => component.name).join(', ')}. As root: ${how}`)
}

function run(command, args) {
  const result = spawnSync(command, args, { cwd: root, env: environment(), stdio: ['ignore', 'inherit', 'inherit'] })
  if (result.status !== 0) fail(`${args.join(' ')} failed`)
}

const chosen = process.argv.slice(2)
installPackages()
installComponents()
if (chosen.length === 0 || chosen.some(path => path.includes('clients'))) installClients()
run('tsc', ['--noEmit'])
run(process.execPath, ['bin/lint.mjs'])
const files = chosen.length > 0 ? chosen : ['src/**/*.test.ts', 'fuzz/**/*.test.ts', 'test/**/*.test.ts']
process.exit(await runNode(['--test', '--test-concurrency=2', '--test-timeout=300000', ...files], { cwd: root }))
