/** What a command's end says, for scripts and service managers: the same number means the same after every command. Help and docs/cli.md are printed from this. */
import { EXIT_CODES } from '../boundary/config.ts'

/** EX_CONFIG, for a wrong configuration. */
export const EXIT_CONFIG = 78
/** EX_UNAVAILABLE: no service answers on the folder, or it is locked. */
export const EXIT_UNAVAILABLE = 69
export const EXIT_REFUSED = 1

export interface ExitCode {
  readonly code: number
  readonly meaning: string
  /** Whether trying again, with nothing changed, can be of use. */
  readonly again: 'no' | 'later'
}

export const ALL_EXIT_CODES: readonly ExitCode[] = [
  { code: 0, meaning: 'done, or stopped as it was asked to', again: 'no' },
  { code: EXIT_REFUSED, meaning: 'refused, wrong use, or the answer is no; the reason is on stderr', again: 'no' },
  { code: 3, meaning: 'a token is not enough for what was asked of it', again: 'no' },
  {
    code: EXIT_CODES.refused,
    meaning: 'the operator must change something first: a folder, the root of trust, a token, an argument',
    again: 'no',
  },
  {
    code: EXIT_CODES.damaged,
    meaning: 'the bytes of a journal or a backup are not what was written, or the clock is behind them',
    again: 'no',
  },
  { code: 66, meaning: 'a file that belongs to others is missing', again: 'no' },
  { code: EXIT_UNAVAILABLE, meaning: 'no service answers on the folder, or its boundary is locked', again: 'later' },
  { code: EXIT_CODES.internal, meaning: 'something that should not happen; the log says where', again: 'later' },
  {
    code: EXIT_CODES.storage,
    meaning: 'a write failed; nothing that was waiting was answered as done. The supervisor starts the process again',
    again: 'later',
  },
  { code: EXIT_CODES.inUse, meaning: 'another process has the folder open', again: 'later' },
  { code: 77, meaning: 'what would open it was not given', again: 'no' },
  { code: EXIT_CONFIG, meaning: 'the configuration is wrong: each problem is named with its line', again: 'no' },
  { code: 130, meaning: 'interrupted, after what had been changed was put back', again: 'no' },
  {
    code: EXIT_CODES.terminated,
    meaning: 'a process of a service was told to end (SIGTERM), or ended with its supervisor',
    again: 'later',
  },
]

export function exitCodesText(): string {
  return ALL_EXIT_CODES.map(({ code, meaning }) => `  ${String(code).padEnd(5)}${meaning}`).join('\n')
}
