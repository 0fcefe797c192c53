/**
 * Loads one configuration file of a service: YAML 1.2 or JSON, checked whole before anything starts. Nothing of it is used unless all of it is right.
 */
import { readFileSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { type Document, isMap, isNode, LineCounter, parseDocument } from 'yaml'
import type { z } from 'zod'
import { checkFiles } from './files.ts'
import { ConfigError, type ConfigProblem, suggestion } from './problems.ts'
import { children, definition, schemaAt, unwrap, walk } from './tree.ts'

/** One service's configuration: its schema and what else belongs to it. */
export interface ConfigDefinition<S extends z.ZodType> {
  readonly service: 'kms' | 'ekm'
  readonly schema: S
  /** The settings that the environment may override: variable → dotted path. */
  readonly environment: Readonly<Record<string, string>>
  /** What concerns several settings at once. Only called where each by itself is right. */
  readonly check?: (config: z.output<S>) => readonly { readonly path: string; readonly message: string }[]
}

export interface LoadOptions {
  /** Default: the process's environment. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /**
   * False leaves the files that settings name unread, for a check on another machine; a function chooses by the setting, for a process that may not see all.
   * Default true.
   */
  readonly files?: boolean | ((path: readonly PropertyKey[]) => boolean)
}

const MAX_FILE_BYTES = 1024 * 1024

/** Reads, checks and completes a configuration. Paths in it come back absolute, resolved from the file's folder. Throws `ConfigError` with every problem. */
export function loadConfig<S extends z.ZodType>(
  file: string,
  definition: ConfigDefinition<S>,
  options: LoadOptions = {},
): z.output<S> {
  const { document, lines } = read(file)
  const raw = plain(file, document)
  return complete(definition, raw, {
    ...options,
    file,
    base: dirname(resolve(file)),
    lineOf: lineFinder(document, lines),
  })
}

/** The same for a configuration that the program itself puts together (`--dev`, the demo). Paths are resolved from the working folder. */
export function parseConfig<S extends z.ZodType>(
  definition: ConfigDefinition<S>,
  raw: z.input<S>,
  options: LoadOptions = {},
): z.output<S> {
  const file = `${definition.service} configuration`
  return complete(definition, raw, { env: {}, ...options, file, base: process.cwd(), lineOf: () => undefined })
}

interface Source extends LoadOptions {
  readonly file: string
  readonly base: string
  readonly lineOf: (path: readonly PropertyKey[], key?: string) => number | undefined
}

function complete<S extends z.ZodType>(definition: ConfigDefinition<S>, given: unknown, source: Source): z.output<S> {
  const { file, lineOf } = source
  const problems: ConfigProblem[] = []
  const raw = structuredClone(given)
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
    throw new ConfigError(file, [{ path: '', line: 1, message: 'must be a map of settings' }])
  }
  const overridden = override(definition, raw as Record<string, unknown>, source.env ?? process.env, problems)
  const parsed = definition.schema.safeParse(raw)
  for (const issue of parsed.error?.issues ?? [])
    problems.push(...explain(definition.schema, raw, issue, lineOf, overridden))
  if (!parsed.success) throw new ConfigError(file, problems.sort(byLine))
  const config = parsed.data
  walk(definition.schema, config, ({ path, value, names }) => {
    if (names === undefined || typeof value !== 'string') return
    setIn(config as Record<string, unknown>, path, resolve(source.base, value))
  })
  for (const { path, message } of definition.check?.(config) ?? []) {
    problems.push({ path, line: lineOf(path.split('.')), message })
  }
  const { files = true } = source
  const looksAt = typeof files === 'boolean' ? () => files : files
  walk(definition.schema, config, ({ path, value, names }) => {
    const message = typeof value === 'string' && looksAt(path) ? checkFiles(names, value) : undefined
    if (message !== undefined) problems.push({ path: path.join('.'), line: lineOf(path), message })
  })
  if (problems.length > 0) throw new ConfigError(file, problems.sort(byLine))
  return config
}

function read(file: string): { document: Document.Parsed; lines: LineCounter } {
  const whole = (message: string) => new ConfigError(file, [{ path: '', line: undefined, message }])
  let text: string
  try {
    if (statSync(file).size > MAX_FILE_BYTES) throw whole(`larger than ${MAX_FILE_BYTES} bytes`)
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof ConfigError) throw error
    throw whole(`cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown reason'})`)
  }
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true, uniqueKeys: true })
  if (document.errors.length > 0) {
    throw new ConfigError(
      file,
      document.errors.map(error => ({ path: '', line: lines.linePos(error.pos[0]).line, message: error.message })),
    )
  }
  return { document, lines }
}

/** The document as values. Aliases are refused: they make a small file large. */
function plain(file: string, document: Document.Parsed): unknown {
  try {
    return document.toJS({ maxAliasCount: 0 }) ?? {}
  } catch {
    throw new ConfigError(file, [{ path: '', line: undefined, message: 'aliases (*name) may not be used' }])
  }
}

/** Finds the line of a setting, or of the nearest section above it. With `key`, the line of that name inside the section. */
function lineFinder(document: Document.Parsed, lines: LineCounter): Source['lineOf'] {
  return (path, key) => {
    for (let depth = path.length; depth >= 0; depth--) {
      const node = depth === 0 ? document.contents : document.getIn(path.slice(0, depth), true)
      if (!isNode(node) || !node.range) continue
      if (depth === path.length && key !== undefined && isMap(node)) {
        const pair = node.items.find(item => String(item.key) === key)
        if (pair && isNode(pair.key) && pair.key.range) return lines.linePos(pair.key.range[0]).line
      }
      return lines.linePos(node.range[0]).line
    }
    return undefined
  }
}

/** Puts the environment's values in. Returns path → variable for those that were. */
function override(
  definition_: ConfigDefinition<z.ZodType>,
  raw: Record<string, unknown>,
  env: Readonly<Record<string, string | undefined>>,
  problems: ConfigProblem[],
): Map<string, string> {
  const overridden = new Map<string, string>()
  const prefix = `HOLDFAST_${definition_.service.toUpperCase()}_`
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith(prefix) || text === undefined) continue
    const path = definition_.environment[name]
    if (path === undefined) {
      const message = `environment variable ${name} overrides no setting${suggestion(name, Object.keys(definition_.environment))}`
      problems.push({ path: '', line: undefined, message })
      continue
    }
    const parts = path.split('.')
    const schema = schemaAt(definition_.schema, raw, parts)
    setIn(raw, parts, schema === undefined ? text : convert(schema, text))
    overridden.set(path, name)
  }
  return overridden
}

/** A variable's text as what the setting is; text that does not fit stays text, and the schema refuses it. */
function convert(schema: z.ZodType, text: string): unknown {
  const type = definition(unwrap(schema)).type
  if (type === 'number') return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text
  if (type === 'boolean') return text === 'true' ? true : text === 'false' ? false : text
  if (type === 'array') return text.split(',').map(item => item.trim())
  return text
}

function setIn(target: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let at = target
  for (const part of path.slice(0, -1)) {
    const next = at[part]
    if (typeof next === 'object' && next !== null) at = next as Record<string, unknown>
    else at = at[part] = {} as Record<string, unknown>
  }
  const last = path.at(-1)
  if (last !== undefined) at[last] = value
}

/** One issue of zod as problems in our words. */
function explain(
  schema: z.ZodType,
  raw: unknown,
  issue: z.core.$ZodIssue,
  lineOf: Source['lineOf'],
  overridden: ReadonlyMap<string, string>,
): ConfigProblem[] {
  const path = issue.path.join('.')
  const at = (message: string): ConfigProblem => {
    const variable = overridden.get(path)
    if (variable !== undefined) return { path, line: undefined, message: `${message} (from ${variable})` }
    return { path, line: lineOf(issue.path), message }
  }
  switch (issue.code) {
    case 'unrecognized_keys': {
      const value = issue.path.reduce<unknown>((below, part) => (below as Record<PropertyKey, unknown>)?.[part], raw)
      const section = schemaAt(schema, raw, issue.path)
      const known = section ? [...children(section, value).keys()] : []
      return issue.keys.map(key => ({
        path: path === '' ? key : `${path}.${key}`,
        line: lineOf(issue.path, key),
        message: `unknown${suggestion(key, known)}`,
      }))
    }
    case 'invalid_type': {
      const missing = valueAt(raw, issue.path) === undefined
      const setting = schemaAt(schema, raw, issue.path)
      const description = setting && (setting.description ?? unwrap(setting).description)
      if (missing) return [at(description ? `missing: ${description}` : 'missing')]
      return [at(`must be ${article(issue.expected)}`)]
    }
    case 'invalid_value': {
      const given = valueAt(raw, issue.path)
      const values = issue.values.map(String)
      const near = typeof given === 'string' ? suggestion(given, values) : ''
      return [at(`must be one of ${values.join(', ')}${near}`)]
    }
    case 'invalid_union': {
      const names = 'options' in issue && Array.isArray(issue.options) ? issue.options.map(String) : []
      if (names.length === 0) return [at('fits none of the forms that it may have')]
      const given = valueAt(raw, issue.path)
      if (given === undefined) return [at(`missing: one of ${names.join(', ')}`)]
      return [at(`must be one of ${names.join(', ')}${typeof given === 'string' ? suggestion(given, names) : ''}`)]
    }
    case 'invalid_key':
      return [at(issue.issues[0]?.message ?? 'is not a name that may stand here')]
    case 'too_small':
      return [
        at(
          issue.origin === 'number' || issue.origin === 'int'
            ? `must be at least ${issue.minimum}`
            : `must have at least ${issue.minimum}`,
        ),
      ]
    case 'too_big':
      return [
        at(
          issue.origin === 'number' || issue.origin === 'int'
            ? `must be at most ${issue.maximum}`
            : `must have at most ${issue.maximum}`,
        ),
      ]
    default:
      return [at(issue.message)]
  }
}

function valueAt(raw: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((below, part) => (below as Record<PropertyKey, unknown> | undefined)?.[part], raw)
}

function article(type: string): string {
  const words: Record<string, string> = {
    int: 'a whole number',
    array: 'a list',
    object: 'a map of settings',
    record: 'a map',
    boolean: 'true or false',
  }
  return words[type] ?? `a ${type}`
}

function byLine(a: ConfigProblem, b: ConfigProblem): number {
  return (a.line ?? Number.MAX_SAFE_INTEGER) - (b.line ?? Number.MAX_SAFE_INTEGER)
}
