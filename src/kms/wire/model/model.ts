/**
 * The API's model as data: the public service model, what came after it (`supplement.json`), and where the service is known to differ from it.
 * Everything that validates or routes is derived from here, once, at start.
 */
import model from './aws-kms-model.json' with { type: 'json' }
import supplement from './supplement.json' with { type: 'json' }

export interface ShapeRef {
  readonly shape: string
}

export interface Shape {
  readonly type: 'string' | 'integer' | 'boolean' | 'blob' | 'timestamp' | 'list' | 'map' | 'structure'
  readonly required?: readonly string[]
  readonly members?: Readonly<Record<string, ShapeRef>>
  readonly member?: ShapeRef
  readonly key?: ShapeRef
  readonly value?: ShapeRef
  readonly enum?: readonly string[]
  readonly min?: number
  readonly max?: number
  readonly pattern?: string
  readonly sensitive?: boolean
}

/**
 * Where the service differs from its model, by `Operation.Member`: aws-kms.md §3 and §10. Applied over the member's shape.
 * What a single member cannot express (KeySpec xor NumberOfBytes, alias names, ValidTo) stands in the operation.
 */
export const DEVIATIONS: Readonly<Record<string, Partial<Pick<Shape, 'min' | 'max' | 'pattern'>>>> = {
  'ImportKeyMaterial.KeyMaterialDescription': { pattern: '^[a-zA-Z0-9:/_\\s.-]*$' },
  'ListAliases.Limit': { max: 100 },
  'ListGrants.Limit': { max: 100 },
  'ListResourceTags.Limit': { max: 50 },
  'ListRetirableGrants.Limit': { max: 100 },
  'ScheduleKeyDeletion.PendingWindowInDays': { min: 7, max: 30 },
}

const added = supplement.enums as Readonly<Record<string, readonly string[]>>
const shapes: Record<string, Shape> = { ...(model.shapes as Record<string, Shape>), ...(supplement.shapes as Record<string, Shape>) }
for (const [name, values] of Object.entries(added)) {
  const shape = shapes[name]
  if (shape?.enum) shapes[name] = { ...shape, enum: [...shape.enum, ...values] }
}

/** A shape by name; a name that the model lacks is a defect of the model. */
export function shapeOf(name: string): Shape {
  const shape = shapes[name]
  if (shape === undefined) throw new Error(`the API model has no shape ${name}`)
  return shape
}

interface OperationModel {
  readonly name: string
  readonly input?: ShapeRef
  readonly output?: ShapeRef
}

const all: Record<string, OperationModel> = { ...model.operations, ...supplement.operations }

/** Every operation of the API, built or not, by name: the name of its input's shape. */
export const OPERATION_INPUTS: ReadonlyMap<string, string> = new Map(
  Object.values(all).map(operation => [operation.name, operation.input?.shape ?? '']),
)
