/** What is wrong in a folder, and where: the first place. */
export class Bad extends Error {
  readonly file: string
  readonly offset: number
  /** The entry that is, or should be, there. */
  readonly seq: number
  readonly what: string
  constructor(file: string, offset: number, seq: number, what: string) {
    super(`${file}: ${what}, at byte ${offset}, entry ${seq}`)
    this.name = 'Bad'
    this.file = file
    this.offset = offset
    this.seq = seq
    this.what = what
  }
}
