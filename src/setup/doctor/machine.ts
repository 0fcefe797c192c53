/** The machine below a service: program, clock, entropy, swap. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Finding, finding } from './findings.ts'
import type { Machine, Subject } from './subject.ts'

/** What the source runs on. */
const LEAST_NODE = 24
/** Bits. Kernels from 5.18 on always say 256, and are ready from the first random byte on. */
const LEAST_ENTROPY = 256

export function checkProgram({ node, platform }: Machine): Finding[] {
  const old = Number.parseInt(node, 10) < LEAST_NODE
  return [
    old ? finding('node-old', `Node ${node}, older than ${LEAST_NODE}`) : finding('node-good', `Node ${node}`),
    ...(platform === 'linux' ? [] : [finding('system-other', `this system is ${platform}`)]),
  ]
}

/** Against what disciplines it, and against the newest record: a clock that is behind that stops the next start. */
export function checkClock({ clock, now }: Machine, lastTime: number): Finding[] {
  const state = clock()
  const behind = lastTime - now()
  const findings: Finding[] = []
  if (behind > 0) {
    const seen = `the clock is ${(behind / 1000).toFixed(1)} s behind the newest record, of ${new Date(lastTime).toISOString()}`
    findings.push(finding('clock-behind', seen))
  }
  if (state === undefined)
    return [...findings, finding('clock-unknown', 'the kernel does not say whether it is synchronised')]
  const error = `${(state.maxErrorMicros / 1000).toFixed(0)} ms`
  return [
    ...findings,
    state.synchronised
      ? finding('clock-synchronised', `synchronised, at most ${error} off`)
      : finding('clock-free', 'nothing synchronises the clock, as far as the kernel knows'),
  ]
}

export async function checkEntropy({ proc }: Machine): Promise<Finding[]> {
  const text = await readFile(join(proc, 'sys/kernel/random/entropy_avail'), 'utf8').catch(() => '')
  const bits = Number(text)
  return text === '' || bits >= LEAST_ENTROPY
    ? [
        finding(
          'entropy-ready',
          text === '' ? 'random bytes come at once' : `${bits} bits, and random bytes come at once`,
        ),
      ]
    : [finding('entropy-low', `the kernel has ${bits} bits`)]
}

export async function checkSwap({ proc }: Machine, { running }: Subject): Promise<Finding[]> {
  // The boundary has looked at its own control group.
  if (running?.warnings.some(warning => warning.includes('swap')) === true) return []
  const swaps = await readFile(join(proc, 'swaps'), 'utf8').catch(() => '')
  const lines = swaps.trim().split('\n').slice(1)
  return lines.length === 0
    ? [finding('swap-none', 'this machine has no swap')]
    : [finding('swap-open', `secrets can reach ${lines.map(line => line.split(/\s/)[0]).join(', ')}`)]
}
