/**
 * A small model of a multi-Region set, written from aws-kms.md §3.6, §3.8 and §9 and from nothing of the boundary's own: what each act does to each
 * member, or that it is refused. Tests ask both and compare.
 */
export const MODEL_REGIONS = ['ap-south-1', 'eu-north-1', 'us-west-2'] as const
export type ModelRegion = (typeof MODEL_REGIONS)[number]
export const WINDOW_DAYS = 7
const STEP_DAYS = 8

export type Act =
  | { readonly act: 'replicate' | 'move'; readonly to: ModelRegion; readonly at: ModelRegion }
  | { readonly act: 'rotate' | 'enable' | 'disable' | 'schedule' | 'cancel' | 'importNew'; readonly at: ModelRegion }
  | { readonly act: 'import' | 'remove'; readonly at: ModelRegion; readonly which: number }
  | { readonly act: 'wait' | 'hold' | 'release' }

interface Member {
  state: string
  /** What it is after Creating or Updating. */
  next: string
  /** Day of its deletion. */
  date: number
  /** Names of the materials that it has. */
  readonly has: Set<number>
}

interface Material {
  readonly name: number
  state: 'CURRENT' | 'NON_CURRENT' | 'PENDING'
}

export class SetModel {
  readonly imported: boolean
  primary: ModelRegion = 'eu-north-1'
  readonly members = new Map<ModelRegion, Member>()
  materials: Material[] = []
  held = false
  /** Materials are named in the order in which they come. */
  #names = 0
  #day = 0

  constructor(imported: boolean) {
    this.imported = imported
    this.members.set(this.primary, { state: 'PendingImport', next: '', date: 0, has: new Set() })
    if (!imported) this.#fresh()
    this.#complete(this.#member(this.primary))
  }

  get gone(): boolean {
    return this.members.size === 0
  }

  /** What material states the API shows: pending ones by whether every member has them. */
  shown(material: Material): string {
    if (material.state !== 'PENDING') return material.state
    const everywhere = [...this.members.values()].every(({ has }) => has.has(material.name))
    return everywhere ? 'PENDING_ROTATION' : 'PENDING_MULTI_REGION_IMPORT_AND_ROTATION'
  }

  /** Does it, or says that it is refused and changes nothing. */
  do(act: Act): boolean {
    const done = this.#act(act)
    if (!this.held) this.#finish()
    return done
  }

  #act(asked: Act): boolean {
    switch (asked.act) {
      case 'hold':
        this.held = true
        return true
      case 'release':
        this.held = false
        return true
      case 'wait':
        this.#day += STEP_DAYS
        this.#destroy()
        return true
    }
    const member = this.members.get(asked.at)
    if (member === undefined) return false
    const isPrimary = asked.at === this.primary
    switch (asked.act) {
      case 'enable':
      case 'disable':
        if (member.state !== 'Enabled' && member.state !== 'Disabled') return false
        member.state = asked.act === 'enable' ? 'Enabled' : 'Disabled'
        return true
      case 'schedule':
        if (!['Enabled', 'Disabled', 'PendingImport', 'Creating'].includes(member.state)) return false
        if (isPrimary && this.members.size > 1) member.state = 'PendingReplicaDeletion'
        else Object.assign(member, { state: 'PendingDeletion', date: this.#day + WINDOW_DAYS })
        return true
      case 'cancel':
        if (member.state !== 'PendingDeletion' && member.state !== 'PendingReplicaDeletion') return false
        member.state = this.#lacks(member) ? 'PendingImport' : 'Disabled'
        return true
      case 'rotate':
        return isPrimary && member.state === 'Enabled' && this.#rotate()
      case 'replicate': {
        if (!isPrimary || member.state !== 'Enabled' || this.members.has(asked.to)) return false
        const has = new Set(this.imported ? [] : member.has)
        const next = this.imported ? 'PendingImport' : 'Enabled'
        this.members.set(asked.to, { state: 'Creating', next, date: 0, has })
        return true
      }
      case 'move': {
        const to = this.members.get(asked.to)
        if (!isPrimary || asked.to === asked.at || to === undefined) return false
        if (![member, to].every(({ state }) => state === 'Enabled' || state === 'Updating')) return false
        for (const each of [member, to]) Object.assign(each, { state: 'Updating', next: 'Enabled' })
        this.primary = asked.to
        return true
      }
      case 'importNew':
        if (!this.#importable(member) || !isPrimary || this.materials.some(({ state }) => state === 'PENDING'))
          return false
        this.materials.push({ name: this.#names, state: this.materials.length === 0 ? 'CURRENT' : 'PENDING' })
        member.has.add(this.#names++)
        this.#complete(member)
        return true
      case 'import': {
        const material = this.materials[asked.which]
        if (!this.#importable(member) || material === undefined) return false
        member.has.add(material.name)
        this.#complete(member)
        return true
      }
      case 'remove':
        return this.#remove(member, isPrimary, asked.which)
    }
  }

  #importable({ state }: Member): boolean {
    return this.imported && ['Enabled', 'Disabled', 'PendingImport'].includes(state)
  }

  #remove(member: Member, isPrimary: boolean, which: number): boolean {
    const material = this.materials[which]
    if (!this.imported || material === undefined || ['Creating', 'Updating'].includes(member.state)) return false
    if (material.state === 'PENDING' && isPrimary) {
      this.materials = this.materials.filter(each => each !== material)
      for (const { has } of this.members.values()) has.delete(material.name)
      return true
    }
    member.has.delete(material.name)
    if ((member.state === 'Enabled' || member.state === 'Disabled') && this.#lacks(member))
      member.state = 'PendingImport'
    return true
  }

  #rotate(): boolean {
    if (!this.imported) {
      this.#fresh()
      return true
    }
    const next = this.materials.find(material => this.shown(material) === 'PENDING_ROTATION')
    if (next === undefined) return false
    for (const each of this.materials) if (each.state === 'CURRENT') each.state = 'NON_CURRENT'
    next.state = 'CURRENT'
    return true
  }

  /** Generated material, which all members get. */
  #fresh(): void {
    for (const each of this.materials) each.state = 'NON_CURRENT'
    this.materials.push({ name: this.#names, state: 'CURRENT' })
    for (const { has } of this.members.values()) has.add(this.#names)
    this.#names++
  }

  #lacks({ has }: Member): boolean {
    const needed = this.materials.filter(({ state }) => state !== 'PENDING')
    return needed.length === 0 || needed.some(({ name }) => !has.has(name))
  }

  #complete(member: Member): void {
    if (member.state === 'PendingImport' && !this.#lacks(member)) member.state = 'Enabled'
  }

  #finish(): void {
    for (const member of this.members.values())
      if (member.state === 'Creating' || member.state === 'Updating') member.state = member.next
  }

  #destroy(): void {
    for (const [region, { state, date }] of [...this.members])
      if (state === 'PendingDeletion' && date <= this.#day) this.members.delete(region)
    const last = this.members.get(this.primary)
    if (last?.state === 'PendingReplicaDeletion' && this.members.size === 1)
      Object.assign(last, { state: 'PendingDeletion', date: this.#day + WINDOW_DAYS })
  }

  #member(region: ModelRegion): Member {
    const member = this.members.get(region)
    if (member === undefined) throw new Error(`no member in ${region}`)
    return member
  }
}
