/**
 * A configuration schema as a tree that can be walked beside a value: for lines and suggestions, for files that settings name, for settings that the
 * environment may override, and for the printed list of all settings.
 */
import { z } from 'zod'
import type { $ZodTypeDef } from 'zod/v4/core'

type Def = $ZodTypeDef & {
  shape?: Record<string, z.ZodType>
  innerType?: z.ZodType
  valueType?: z.ZodType
  element?: z.ZodType
  options?: readonly z.ZodType[]
  discriminator?: string
  defaultValue?: unknown
  values?: readonly unknown[]
  entries?: Record<string, string | number>
}

/** What a setting names beside itself; given to a schema with `.meta({ names })`. */
export type Names = 'file' | 'secret-file' | 'new-secret-file' | 'folder'

export function definition(schema: z.ZodType): Def {
  return schema._zod.def as Def
}

/** The schema inside optional, default and prefault wrappers. */
export function unwrap(schema: z.ZodType): z.ZodType {
  let inner = schema
  for (let next = definition(inner).innerType; next !== undefined; next = definition(inner).innerType) inner = next
  return inner
}

/** What stands below `schema` at `value`: names and their schemas. Records and arrays take the names from the value. */
export function children(schema: z.ZodType, value: unknown): Map<string, z.ZodType> {
  const def = definition(unwrap(schema))
  const found = new Map<string, z.ZodType>()
  if (def.shape) for (const [name, child] of Object.entries(def.shape)) found.set(name, child)
  const below = def.valueType ?? def.element
  if (below && typeof value === 'object' && value !== null)
    for (const name of Object.keys(value)) found.set(name, below)
  if (def.options) {
    const option = chosen(def, value)
    if (option) return children(option, value)
  }
  return found
}

/** Of a discriminated union, the option that the value names. */
function chosen(def: Def, value: unknown): z.ZodType | undefined {
  const name = def.discriminator
  if (name === undefined || typeof value !== 'object' || value === null) return undefined
  const named = (value as Record<string, unknown>)[name]
  return def.options?.find(option => {
    const literal = definition(option).shape?.[name]
    return literal !== undefined && definition(literal).values?.includes(named)
  })
}

/** The schema at a path, as far as the value leads there. */
export function schemaAt(schema: z.ZodType, value: unknown, path: readonly PropertyKey[]): z.ZodType | undefined {
  let at: z.ZodType | undefined = schema
  let below = value
  for (const part of path) {
    at = at && children(at, below).get(String(part))
    below = typeof below === 'object' && below !== null ? (below as Record<PropertyKey, unknown>)[part] : undefined
  }
  return at
}

/** Calls `visit` for every setting that the value has, parents before children. */
export function walk(
  schema: z.ZodType,
  value: unknown,
  visit: (setting: { path: readonly string[]; schema: z.ZodType; value: unknown; names: Names | undefined }) => void,
  path: readonly string[] = [],
): void {
  if (value === undefined) return
  const inner = unwrap(schema)
  const names = (inner.meta()?.names ?? schema.meta()?.names) as Names | undefined
  visit({ path, schema: inner, value, names })
  if (typeof value !== 'object' || value === null) return
  for (const [name, child] of children(schema, value)) {
    walk(child, (value as Record<string, unknown>)[name], visit, [...path, name])
  }
}

export interface Setting {
  /** Dotted; `*` stands for a name that the operator chooses, `[]` for a list's element. */
  readonly path: string
  readonly type: string
  /** Undefined where it may be left out; empty where it may not; else what has to be given for it to be needed. */
  readonly requiredBy: string | undefined
  /** As JSON; undefined where there is none. */
  readonly default: string | undefined
  /** Smallest and largest number; undefined where it is no number. */
  readonly range: readonly [number, number] | undefined
  readonly description: string
}

/** Every setting that a schema knows, for the printed documentation. `given`: what must have been given for `schema` to count. */
export function settings(schema: z.ZodType, path = '', given = ''): Setting[] {
  const wrapper = definition(schema)
  const inner = unwrap(schema)
  const def = definition(inner)
  const optional = wrapper.innerType !== undefined
  const description = schema.description ?? inner.description ?? ''
  const within = wrapper.type === 'optional' ? path : given
  const below = (child: z.ZodType, name: string, by = within) =>
    settings(child, path === '' ? name : `${path}.${name}`, by)
  const own: Setting = {
    path,
    type: 'section',
    requiredBy: optional ? undefined : given,
    default: undefined,
    range: undefined,
    description,
  }
  const section = path === '' || description === '' ? [] : [own]
  if (def.shape) return [...section, ...Object.entries(def.shape).flatMap(([name, child]) => below(child, name))]
  if (def.options && def.discriminator !== undefined) return [...section, ...alternatives(def, path, within)]
  if (def.valueType) return [...section, ...below(def.valueType, '*', path)]
  const value = wrapper.defaultValue
  return [
    {
      ...own,
      type: typeName(inner),
      default: value === undefined ? undefined : JSON.stringify(value),
      range: inner instanceof z.ZodNumber ? [inner.minValue ?? -Infinity, inner.maxValue ?? Infinity] : undefined,
    },
  ]
}

/** The name that chooses stands once, with all of its values, and before what each of them brings. */
function alternatives({ options = [], discriminator = '' }: Def, path: string, given: string): Setting[] {
  const chooser = `${path}.${discriminator}`
  const all = options.flatMap(option => {
    const [value] = definition(definition(option).shape?.[discriminator] ?? option).values ?? []
    return settings(option, path, `${chooser} ${value}`)
  })
  const chosen = all.filter(setting => setting.path === chooser)
  const type = chosen.map(setting => setting.type).join(' | ')
  return [
    ...chosen.slice(0, 1).map(setting => ({ ...setting, type, requiredBy: given })),
    ...all.filter(setting => setting.path !== chooser),
  ]
}

function typeName(schema: z.ZodType): string {
  const def = definition(schema)
  if (def.type === 'enum') return Object.values(def.entries ?? {}).join(' | ')
  if (def.type === 'literal') return (def.values ?? []).join(' | ')
  if (def.type === 'array') return `list of ${def.element ? typeName(unwrap(def.element)) : 'values'}`
  const names = schema.meta()?.names
  return names === undefined ? def.type : String(names).replaceAll('-', ' ')
}
