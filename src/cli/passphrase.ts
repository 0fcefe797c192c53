/** A passphrase from the terminal, without echo, or from standard input; never from the command line, which every user of the machine can see. */
const MAX_PASSPHRASE_BYTES = 1024
const ENTER = [0x0a, 0x0d]
const [CTRL_C, CTRL_D, BACKSPACE, DELETE] = [0x03, 0x04, 0x08, 0x7f]

/** The first line, without its end. On a terminal nothing is shown. The caller wipes it. `givenUp`: what is said at Ctrl-C. */
export async function readPassphrase(prompt: string, givenUp: string): Promise<Buffer> {
  const { stdin, stderr } = process
  const terminal = stdin.isTTY === true
  if (terminal) {
    stderr.write(`${prompt}: `)
    stdin.setRawMode(true)
  }
  const line = Buffer.alloc(MAX_PASSPHRASE_BYTES)
  let length = 0
  try {
    // The stream outlives this line: a passphrase that is set is asked for twice.
    for await (const chunk of stdin.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      for (const byte of chunk) {
        if (ENTER.includes(byte) || (terminal && byte === CTRL_D)) return Buffer.from(line.subarray(0, length))
        if (terminal && byte === CTRL_C) throw new Error(givenUp)
        if (terminal && (byte === BACKSPACE || byte === DELETE)) length = Math.max(0, length - 1)
        else if (length === line.length) throw new Error(`a passphrase has at most ${MAX_PASSPHRASE_BYTES} bytes`)
        else line[length++] = byte
      }
      chunk.fill(0)
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

/** A new passphrase: on a terminal asked for twice. The caller wipes it. */
export async function readNewPassphrase(): Promise<Buffer> {
  const givenUp = 'nothing was changed'
  const first = await readPassphrase('New passphrase', givenUp)
  if (process.stdin.isTTY !== true) return first
  const second = await readPassphrase('The same again', givenUp)
  const same = first.equals(second)
  second.fill(0)
  if (same) return first
  first.fill(0)
  throw new Error('the two are not the same: nothing was changed')
}
