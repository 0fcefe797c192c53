/**
 * The rule that holds the house together: rooms import downwards only, and the boundary imports nothing from npm but the PKCS#11 binding.
 * Walks every file under src/, and fails with each line that breaks the rule.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..')

/** What each room may import besides itself and node:*. Order is from the top of the house down. */
const rooms: Record<string, { rooms: readonly string[]; packages: readonly string[] | 'any' }> = {
  cli: {
    rooms: ['setup', 'custody', 'kms', 'ekm', 'console', 'http', 'backup', 'log', 'store', 'boundary', 'config'],
    packages: ['commander'],
  },
  setup: { rooms: ['kms', 'ekm', 'http', 'backup', 'log', 'store', 'boundary', 'config'], packages: ['yaml', 'zod'] },
  custody: { rooms: ['kms', 'ekm', 'http', 'log', 'store', 'boundary', 'config'], packages: 'any' },
  kms: { rooms: ['console', 'http', 'log', 'store', 'boundary', 'config'], packages: 'any' },
  ekm: { rooms: ['console', 'http', 'log', 'store', 'boundary', 'config'], packages: 'any' },
  console: { rooms: ['http', 'log', 'store', 'boundary', 'config'], packages: 'any' },
  http: { rooms: ['log', 'store', 'boundary', 'config'], packages: 'any' },
  backup: { rooms: ['log', 'store', 'boundary'], packages: ['age-encryption'] },
  log: { rooms: ['store', 'boundary'], packages: [] },
  store: { rooms: ['boundary'], packages: [] },
  config: { rooms: [], packages: ['zod', 'yaml'] },
  boundary: { rooms: [], packages: [] },
}

/** The one file that may import the binding, and what tests may import besides. */
const bindingFiles = new Set(['src/boundary/pkcs11/koffi.ts'])
const testPackages = new Set([
  'fast-check',
  '@smithy/signature-v4',
  '@aws-crypto/sha256-js',
  '@aws-sdk/client-kms',
  'commander',
])

const importPattern =
  /(?:^|\n)\s*(?:import|export)\s[^'"]*?from\s*'([^']+)'|(?:^|\n)\s*import\s*'([^']+)'|import\(\s*'([^']+)'\s*\)/g

const problems: string[] = []
let files = 0

for (const entry of readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || !entry.name.endsWith('.ts')) continue
  const path = join(entry.parentPath, entry.name)
  const name = relative(root, path)
  const room = name.split('/')[1] ?? ''
  const allowed = rooms[room]
  files++
  if (!allowed) {
    problems.push(`${name}: no room of that name; the rooms are ${Object.keys(rooms).join(', ')}`)
    continue
  }
  const isTest = name.endsWith('.test.ts')
  for (const match of readFileSync(path, 'utf8').matchAll(importPattern)) {
    const target = match[1] ?? match[2] ?? match[3] ?? ''
    if (target.startsWith('node:')) continue
    if (target.startsWith('.')) {
      const to = relative(root, resolve(dirname(path), target))
      const toRoom = to.split('/')[1] ?? ''
      if (!to.startsWith('src/')) {
        if (!(to === 'package.json' || (isTest && to.startsWith('test/'))))
          problems.push(`${name}: imports ${to}, outside src/`)
      } else if (toRoom !== room && !allowed.rooms.includes(toRoom)) {
        problems.push(`${name}: ${room} may not import ${toRoom} (${to})`)
      }
      continue
    }
    const parts = target.split('/')
    const npm = target.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? '')
    if (isTest && testPackages.has(npm)) continue
    if (npm === 'koffi') {
      if (!bindingFiles.has(name)) problems.push(`${name}: only ${[...bindingFiles].join(', ')} imports koffi`)
    } else if (allowed.packages !== 'any' && !allowed.packages.includes(npm)) {
      problems.push(`${name}: ${room} may not import the package ${npm}`)
    }
  }
}

for (const problem of problems) console.error(problem)
console.log(`imports: ${files} files, ${problems.length} broken rules`)
process.exit(problems.length === 0 ? 0 : 1)
