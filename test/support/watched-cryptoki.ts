/**
 * A PKCS#11 module whose calls are counted and, on request, held back or given other arguments: never replaced in what they do.
 */
import assert from 'node:assert/strict'
import { type Cryptoki, type FunctionName, loadCryptoki } from '../../src/boundary/pkcs11/cryptoki.ts'
import type { Argument, Callable } from '../../src/boundary/pkcs11/koffi.ts'
import { TokenError, type TokenErrorCode } from '../../src/boundary/pkcs11/types.ts'

export type Interfere = (proceed: () => number, args: Argument[]) => number | Promise<number>

export class Watched {
  readonly calls = new Map<FunctionName, number>()
  readonly interfere = new Map<FunctionName, Interfere>()

  readonly load = (path: string): Cryptoki => {
    const functions = loadCryptoki(path)
    const wrapped = {} as Record<FunctionName, Callable>
    for (const name of Object.keys(functions) as FunctionName[]) wrapped[name] = this.#wrap(name, functions[name])
    return wrapped
  }

  count(name: FunctionName): number {
    return this.calls.get(name) ?? 0
  }

  #wrap(name: FunctionName, callable: Callable): Callable {
    const counted = () => this.calls.set(name, this.count(name) + 1)
    const call = (...args: Argument[]) => {
      counted()
      const interfere = this.interfere.get(name)
      return interfere === undefined ? callable(...args) : (interfere(() => callable(...args), args) as number)
    }
    const asynchronous = (...rest: [...Argument[], (error: Error | null, result: number) => void]) => {
      counted()
      const interfere = this.interfere.get(name)
      if (interfere === undefined) {
        callable.async(...rest)
        return
      }
      const args = rest.slice(0, -1) as Argument[]
      const done = rest[rest.length - 1] as (error: Error | null, result: number) => void
      Promise.resolve(interfere(() => callable(...args), args)).then(
        rv => done(null, rv),
        error => done(error, 0),
      )
    }
    return Object.assign(call, { async: asynchronous })
  }
}

export async function rejectsWith(work: Promise<unknown>, code: TokenErrorCode): Promise<TokenError> {
  try {
    await work
  } catch (error) {
    assert.ok(error instanceof TokenError, String(error))
    assert.equal(error.code, code, error.message)
    return error
  }
  throw new assert.AssertionError({ message: `expected ${code}, and it succeeded` })
}

/** Resolves when `condition` holds; fails after ten seconds. */
export async function eventually(condition: () => boolean, what: string): Promise<void> {
  const until = Date.now() + 10_000
  while (!condition()) {
    assert.ok(Date.now() < until, `never came: ${what}`)
    await new Promise(resolve => setImmediate(resolve))
  }
}
