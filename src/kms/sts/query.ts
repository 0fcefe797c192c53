/** The query protocol: a form whose names are paths (`Tags.member.1.Key`), read into what an operation asks for. */
import { StsError } from './errors.ts'

/** No operation has lists longer than this; a member of a higher number is refused with the list. */
const MEMBER = /^([1-9]\d{0,3})(?:\.(\w{1,32}))?$/

export class Form {
  readonly #values = new Map<string, string>()

  /** Throws MalformedQueryString where a name is given twice: two readers would disagree on what it means. O(text). */
  constructor(text: string) {
    for (const [name, value] of new URLSearchParams(text)) {
      if (this.#values.has(name)) throw new StsError('MalformedQueryString', `${name.slice(0, 64)} is given twice.`)
      this.#values.set(name, value)
    }
  }

  /** Undefined where it is not given, or given empty. */
  get(name: string): string | undefined {
    const value = this.#values.get(name)
    return value === '' ? undefined : value
  }

  /** Members of a list, in the order of their numbers: of each its fields by name; a member that is a text has it under ''. */
  list(name: string): ReadonlyMap<string, string>[] {
    const prefix = `${name}.member.`
    const members = new Map<number, Map<string, string>>()
    for (const [path, value] of this.#values) {
      if (!path.startsWith(prefix)) continue
      const found = MEMBER.exec(path.slice(prefix.length))
      if (found === null) throw new StsError('MalformedQueryString', `${path.slice(0, 64)} names no member of a list.`)
      const number = Number(found[1])
      const member = members.get(number) ?? new Map<string, string>()
      members.set(number, member.set(found[2] ?? '', value))
    }
    return [...members].sort(([a], [b]) => a - b).map(([, member]) => member)
  }
}
