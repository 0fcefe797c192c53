/**
 * A configuration schema as a tree that can be walked beside a value: for lines and suggestions, for files that settings name, for settings that the
 * environment may override, and for the printed list of all settings.
 */
import type { z } from 'zod'
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
  readonly required: boolean
  /** As JSON; undefined where there is none. */
  readonly default: string | undefined
  readonly description: string
}

/** Every setting that a schema knows, for the printed documentation. */
export function settings(schema: z.ZodType, path = '', required = true): Setting[] {
  const wrapper = definition(schema)
  const inner = unwrap(schema)
  const def = definition(inner)
  const optional = wrapper.innerType !== undefined
  const description = schema.description ?? inner.description ?? ''
  const below = (child: z.ZodType, name: string) => settings(child, path === '' ? name : `${path}.${name}`, !optional)
  if (def.shape) return [...own(), ...Object.entries(def.shape).flatMap(([name, child]) => below(child, name))]
  if (def.options && def.discriminator !== undefined) {
    const seen = new Set<string>()
    return [...own(), ...def.options.flatMap(option => settings(option, path, !optional))].filter(
      setting => !seen.has(setting.path) && seen.add(setting.path),
    )
  }
  if (def.valueType) return [...own(), ...below(def.valueType, '*')]
  return [
    {
      path,
      type: typeName(inner),
      required: required && !optional,
      default: wrapper.defaultValue === undefined ? undefined : JSON.stringify(wrapper.defaultValue),
      description,
    },
  ]

  function own(): Setting[] {
    if (path === '' || description === '') return []
    return [{ path, type: 'section', required: required && !optional, default: undefined, description }]
  }
}

function typeName(schema: z.ZodType): string {
  const def = definition(schema)
  if (def.type === 'enum') return Object.values(def.entries ?? {}).join(' | ')
  if (def.type === 'literal') return (def.values ?? []).join(' | ')
  if (def.type === 'array') return `list of ${def.element ? typeName(unwrap(def.element)) : 'values'}`
  const names = schema.meta()?.names
  return names === undefined ? def.type : String(names).replaceAll('-', ' ')
}
