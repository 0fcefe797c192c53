/**
 * For tests: what a symmetric key of one Region is, as small as it can be told after aws-kms.md §3 and §9: its state, its materials, its rotation and what
 * hangs on it. Each method says what AWS answers to an operation, and changes the model where that is a success.
 */

/** AWS's error type and, where it is fixed, its text. */
export interface Refusal {
  readonly type: string
  readonly text?: string | RegExp
}

export type State = 'Enabled' | 'Disabled' | 'PendingImport' | 'PendingDeletion' | 'gone'
export type Origin = 'AWS_KMS' | 'EXTERNAL'

export interface Material {
  id: string
  state: 'CURRENT' | 'NON_CURRENT' | 'PENDING_ROTATION'
  present: boolean
  rotation: 'AUTOMATIC' | 'ON_DEMAND' | undefined
  /** Lifecycle time; 0 for never. */
  validTo: number
  /** Of imported material. */
  readonly bytes: Buffer | undefined
}

export interface Message {
  readonly blob: string
  readonly material: Material
  readonly plaintext: string
}

export const MAX_ROTATIONS = 3
const NEAR = 20 * 60_000

export class KeyModel {
  readonly arn: string
  readonly origin: Origin
  state: State
  materials: Material[] = []
  readonly messages: Message[] = []
  readonly tags = new Map<string, string>()
  readonly aliases = new Set<string>()
  description = ''
  lastUse: string | undefined
  onDemand = 0
  rotation: { days: number; next: number } | undefined
  lastAutomatic = Number.NEGATIVE_INFINITY
  deletionAt = 0

  constructor(arn: string, origin: Origin) {
    this.arn = arn
    this.origin = origin
    this.state = origin === 'EXTERNAL' ? 'PendingImport' : 'Enabled'
  }

  get current(): Material | undefined {
    return this.materials.find(({ state }) => state === 'CURRENT')
  }

  get pending(): Material | undefined {
    return this.materials.find(({ state }) => state === 'PENDING_ROTATION')
  }

  get complete(): boolean {
    return (
      this.current !== undefined &&
      this.materials.every(({ present, state }) => present || state === 'PENDING_ROTATION')
    )
  }

  readonly #says = (type: string, text: string): Refusal => ({ type, text: `${this.arn} ${text}` })

  #gone(): Refusal | undefined {
    return this.state === 'gone' ? { type: 'NotFoundException', text: `Key '${this.arn}' does not exist` } : undefined
  }

  #deleting(): Refusal | undefined {
    return this.state === 'PendingDeletion'
      ? this.#says('KMSInvalidStateException', 'is pending deletion (or pending replica deletion).')
      : undefined
  }

  #importing(): Refusal | undefined {
    return this.state === 'PendingImport' ? this.#says('KMSInvalidStateException', 'is pending import.') : undefined
  }

  #disabled(): Refusal | undefined {
    return this.state === 'Disabled' ? this.#says('DisabledException', 'is disabled.') : undefined
  }

  #only(origin: Origin): Refusal | undefined {
    return this.origin === origin
      ? undefined
      : this.#says('UnsupportedOperationException', `origin is ${this.origin} which is not valid for this operation.`)
  }

  /** To operations that any state allows. */
  read(): Refusal | undefined {
    return this.#gone()
  }

  /** To tags, aliases and description. */
  change(): Refusal | undefined {
    return this.#gone() ?? this.#deleting()
  }

  use(operation: string): Refusal | undefined {
    const refusal = this.#gone() ?? this.#disabled() ?? this.#deleting() ?? this.#importing()
    if (refusal === undefined) this.lastUse = operation
    return refusal
  }

  decrypt(): Refusal | undefined {
    // A ciphertext of a key that is not there says no more than one of a key that may not be used.
    return this.state === 'gone' ? { type: 'AccessDeniedException' } : this.use('Decrypt')
  }

  enable(to: 'Enabled' | 'Disabled'): Refusal | undefined {
    const refusal = this.#gone() ?? this.#deleting() ?? this.#importing()
    if (refusal === undefined) this.state = to
    return refusal
  }

  schedule(deletionAt: number): Refusal | undefined {
    const refusal = this.#gone() ?? this.#deleting()
    if (refusal !== undefined) return refusal
    this.state = 'PendingDeletion'
    this.deletionAt = deletionAt
    return undefined
  }

  cancel(): Refusal | undefined {
    const refusal = this.#gone()
    if (refusal !== undefined) return refusal
    if (this.state !== 'PendingDeletion')
      return this.#says('KMSInvalidStateException', 'is not pending deletion (or pending replica deletion).')
    this.state = this.complete ? 'Disabled' : 'PendingImport'
    return undefined
  }

  rotationStatus(): Refusal | undefined {
    return this.#gone() ?? this.#only('AWS_KMS')
  }

  setRotation(rotation: KeyModel['rotation']): Refusal | undefined {
    const refusal = this.#gone() ?? this.#only('AWS_KMS') ?? this.#disabled() ?? this.#deleting()
    if (refusal !== undefined) return refusal
    if (rotation === undefined || rotation.days !== this.rotation?.days) this.rotation = rotation
    return undefined
  }

  rotate(now: number, id: string): Refusal | undefined {
    const refusal = this.#gone() ?? this.#disabled() ?? this.#deleting() ?? this.#importing()
    if (refusal !== undefined) return refusal
    if (this.onDemand >= MAX_ROTATIONS)
      return { type: 'LimitExceededException', text: /^The on-demand rotations limit has been reached/ }
    if (this.origin === 'EXTERNAL') {
      if (this.pending?.present !== true) {
        const text = `No available key material pending rotation for the key: ${this.arn}.`
        return { type: 'KMSInvalidStateException', text }
      }
      this.#succeed(this.pending, 'ON_DEMAND')
    } else {
      const near = now - this.lastAutomatic < NEAR || (this.rotation !== undefined && this.rotation.next - now < NEAR)
      if (near) return { type: 'ConflictException' }
      this.made(id, 'ON_DEMAND')
    }
    this.onDemand++
    return undefined
  }

  /** Material of the provider's own. */
  made(id: string, rotation: Material['rotation']): void {
    const material: Material = { id, state: 'NON_CURRENT', present: true, rotation, validTo: 0, bytes: undefined }
    this.materials.push(material)
    this.#succeed(material, rotation)
  }

  #succeed(next: Material, rotation: Material['rotation']): void {
    for (const material of this.materials) if (material.state === 'CURRENT') material.state = 'NON_CURRENT'
    next.state = 'CURRENT'
    next.rotation = rotation
  }

  parameters(): Refusal | undefined {
    return this.#gone() ?? this.#only('EXTERNAL') ?? this.#deleting()
  }

  importNew(bytes: Buffer, validTo: number): Refusal | undefined {
    const refusal = this.parameters()
    if (refusal !== undefined) return refusal
    if (this.pending !== undefined)
      return { type: 'KMSInvalidStateException', text: /^New key material \(id: \w+\) cannot be/ }
    const state = this.materials.length === 0 ? 'CURRENT' : 'PENDING_ROTATION'
    this.materials.push({ id: '', state, present: true, rotation: undefined, validTo, bytes })
    this.#usable()
    return undefined
  }

  importAgain(material: Material | undefined, validTo: number): Refusal | undefined {
    const refusal = this.parameters()
    if (refusal !== undefined) return refusal
    if (material === undefined) return { type: 'IncorrectKeyMaterialException' }
    material.present = true
    material.validTo = validTo
    this.#usable()
    return undefined
  }

  #usable(): void {
    if (this.state === 'PendingImport' && this.complete) this.state = 'Enabled'
  }

  /** Undefined material: the current one. */
  deleteMaterial(material = this.current): Refusal | undefined {
    const refusal = this.#gone() ?? this.#only('EXTERNAL')
    if (refusal === undefined && material !== undefined) this.#lose(material)
    return refusal
  }

  #lose(material: Material): void {
    material.present = false
    if (material.state === 'PENDING_ROTATION') this.materials = this.materials.filter(each => each !== material)
    if ((this.state === 'Enabled' || this.state === 'Disabled') && !this.complete) this.state = 'PendingImport'
  }

  /** What happens by itself until `now`, of lifecycle time. True where the provider has made a material, whose id is not known yet. */
  pass(now: number): boolean {
    if (this.state === 'PendingDeletion' && this.deletionAt <= now) this.state = 'gone'
    if (this.state === 'gone') {
      this.aliases.clear()
      return false
    }
    for (const material of [...this.materials])
      if (material.present && material.validTo !== 0 && material.validTo <= now) this.#lose(material)
    if (this.state !== 'Enabled' || this.rotation === undefined || this.rotation.next > now) return false
    this.made('', 'AUTOMATIC')
    this.lastAutomatic = now
    // Missed rotations are not made up for one by one.
    this.rotation = { days: this.rotation.days, next: now + this.rotation.days * 86_400_000 }
    return true
  }
}
