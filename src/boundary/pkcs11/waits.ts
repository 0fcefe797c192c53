/** Waiting with an end, and why work did not come to one. */
import { TokenError } from './types.ts'

/** Work met a session or a handle of before: it is safe and useful to do it again. Never reaches callers. */
export class Outdated extends Error {
  readonly error: TokenError
  constructor(error: TokenError) {
    super(error.message)
    this.error = error
  }
}

/** The session is still inside a call: it is discarded when that returns, not now. */
export class TimedOut extends TokenError {
  constructor(message: string) {
    super('Timeout', message)
  }
}

/** Settles as `work` does, or rejects with Timeout. `work` goes on. */
export async function within<T>(work: Promise<T>, ms: number, message: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new TokenError('Timeout', message)), ms)
  })
  try {
    return await Promise.race([work, timeout])
  } finally {
    clearTimeout(timer)
  }
}
