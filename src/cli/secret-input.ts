/** Secrets that a person types, or a program pipes in: the first line of standard input, without echo on a terminal. Never from the command line. */
const MAX_BYTES = 1024
const ENTER = [0x0a, 0x0d]
const [CTRL_C, CTRL_D, BACKSPACE, DELETE] = [0x03, 0x04, 0x08, 0x7f]

/** The first line, without its end. `what` is asked for, on standard error. The caller wipes it. `givenUp`: what is said at Ctrl-C. */
export async function readSecretLine(what: string, givenUp = 'nothing was given'): Promise<Buffer> {
  const { stdin, stderr } = process
  const terminal = stdin.isTTY === true
  if (terminal) {
    // Before anybody is asked: what is typed ahead would be shown.
    stdin.setRawMode(true)
    stderr.write(`${what}: `)
  }
  const line = Buffer.alloc(MAX_BYTES)
  let length = 0
  /** Whether the line ends in this chunk. */
  const take = (chunk: Buffer): boolean => {
    for (const byte of chunk) {
      if (ENTER.includes(byte) || (terminal && byte === CTRL_D)) return true
      if (terminal && byte === CTRL_C) throw new Error(givenUp)
      if (terminal && (byte === BACKSPACE || byte === DELETE)) length = Math.max(0, length - 1)
      else if (length === line.length) throw new Error(`at most ${MAX_BYTES} bytes`)
      else line[length++] = byte
    }
    return false
  }
  try {
    // The stream outlives this line: a passphrase that is set is asked for twice.
    for await (const chunk of stdin.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      const ended = take(chunk)
      chunk.fill(0)
      if (ended) break
    }
    return Buffer.from(line.subarray(0, length))
  } finally {
    line.fill(0)
    if (terminal) {
      stdin.setRawMode(false)
      stderr.write('\n')
    }
    stdin.pause()
  }
}
