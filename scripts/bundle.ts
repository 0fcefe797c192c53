/**
 * Puts together the modules that one process or thread runs: `node scripts/bundle.ts MODULES DIST`, for `npm run build`. Nothing is made shorter, renamed
 * without need, or left without its comments: who reads what is installed reads what was written.
 */
import { readFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { type Plugin, rollup } from 'rollup'

interface Bundle {
  /** Names under `src` without an extension: what `entryFile` names, `bin/holdfast`, or `exports` in package.json. */
  readonly entries: readonly string[]
  /** Folder of the parts that are loaded when they are needed, or that entries have in common. Without one it all has to be one file. */
  readonly parts?: string
}

const BUNDLES: readonly Bundle[] = [
  // One file each, so that whoever has to know what holds the keys reads one file, and sees what it imports.
  { entries: ['boundary/service/main'] },
  { entries: ['boundary/service/threads/thread'] },
  { entries: ['store/sqlite/worker'] },
  { entries: ['custody/data-service/main'] },
  { entries: ['kms/main', 'kms/main-any-credentials'], parts: 'kms/parts' },
  { entries: ['ekm/main', 'ekm/admin-api/main'], parts: 'ekm/parts' },
  { entries: ['cli/main', 'kms/dev', 'ekm/dev'], parts: 'cli/parts' },
]

/** What has to run before a package does. In one file with its importer it would not: packages come first there. */
const BEFORE_PACKAGES = /\/http\/reflect\.js$/

const [modules = '', dist = ''] = process.argv.slice(2)

/** Modules as tsc left them, with their source maps; JSON as a module. */
const compiled: Plugin = {
  name: 'compiled',
  load(id) {
    const text = readFileSync(id, 'utf8')
    if (id.endsWith('.json')) return { code: `export default ${text}`, map: { mappings: '' } }
    return { code: text.replace(/\n\/\/# sourceMappingURL=\S+\s*$/, '\n'), map: readFileSync(`${id}.map`, 'utf8') }
  },
}

for (const { entries, parts } of BUNDLES) {
  const bundle = await rollup({
    input: Object.fromEntries(entries.map(name => [name, join(modules, `${name}.js`)])),
    // All that is not ours: `node:`, and packages.
    external: id => !id.startsWith('.') && !id.startsWith('/'),
    plugins: [compiled],
    // Nothing is left out: a module of ours that nobody uses is for the reader to find, not for a tool to hide.
    treeshake: false,
    onwarn(warning) {
      throw new Error(`${entries.join(', ')}: ${warning.message}`)
    },
  })
  const { output } = await bundle.write({
    dir: resolve(dist),
    format: 'es',
    sourcemap: true,
    entryFileNames: '[name].js',
    chunkFileNames: `${parts}/[name].js`,
    hoistTransitiveImports: false,
    minifyInternalExports: false,
    manualChunks: id => (BEFORE_PACKAGES.test(id) ? basename(id, '.js') : undefined),
  })
  if (parts === undefined && output.filter(({ type }) => type === 'chunk').length > 1)
    throw new Error(`${entries.join(', ')} is more than one file`)
}
