/**
 * The timeline of one act as SVG: uses of the key and reads through the data service, succeeded and failed, around the instant at which revoke
 * answered. Binned, so that a chart of a hundred thousand samples is as large as one of a hundred.
 */
import type { ActEvidence, Sample } from '../evidence/types.ts'
import { duration } from './answers.ts'

const WIDTH = 900
const LEFT = 130
const LANE = 34
const TOP = 26
const BIN = 5

export function chart(act: ActEvidence, cacheSeconds: number): string {
  const samples = [...act.uses, ...act.reads]
  if (samples.length === 0) return ''
  const from = Math.min(...bounds(samples, 'start'), -500)
  const to = Math.max(...bounds(samples, 'end'), cacheSeconds * 1000)
  const x = (time: number): number => LEFT + ((time - from) / (to - from)) * (WIDTH - LEFT - 10)
  const height = TOP + LANE * 2 + 34
  const cold = cacheSeconds * 1000
  const ticks = Array.from({ length: Math.floor(to / 1000) + 1 }, (_, index) => index * 1000)
  return `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="Uses and reads around ${escapeXml(act.call)}">
${lane('direct uses', act.uses, 0, x)}
${lane('reads of files', act.reads, 1, x)}
<line class="now" x1="${x(0)}" x2="${x(0)}" y1="14" y2="${TOP + LANE * 2}"/><text class="label" x="${x(0) + 4}" y="14">revoke answered</text>
<line class="cold" x1="${x(cold)}" x2="${x(cold)}" y1="14" y2="${TOP + LANE * 2}"/><text class="label" x="${x(cold) + 4}" y="14">caches cold</text>
${ticks.map(tick => `<text class="tick" x="${x(tick)}" y="${height - 12}">${tick === 0 ? '0' : `+${duration(tick)}`}</text>`).join('')}
</svg>`
}

/** Lowest and highest of one member, without spreading a large array over the stack. */
function bounds(samples: readonly Sample[], member: 'start' | 'end'): [number, number] {
  let low = Number.POSITIVE_INFINITY
  let high = Number.NEGATIVE_INFINITY
  for (const sample of samples) {
    if (sample[member] < low) low = sample[member]
    if (sample[member] > high) high = sample[member]
  }
  return [low, high]
}

function lane(name: string, samples: readonly Sample[], index: number, x: (time: number) => number): string {
  const y = TOP + index * LANE
  const bins = new Map<number, { ok: number; failed: number }>()
  for (const sample of samples) {
    const bin = Math.floor(x(sample.start) / BIN)
    const count = bins.get(bin) ?? { ok: 0, failed: 0 }
    if (sample.ok) count.ok++
    else count.failed++
    bins.set(bin, count)
  }
  const marks = [...bins].map(([bin, { ok, failed }]) => {
    const at = bin * BIN
    const half = ok > 0 && failed > 0
    const good = ok > 0 ? `<rect class="ok" x="${at}" y="${y + 4}" width="${BIN - 1}" height="${half ? 12 : 24}"/>` : ''
    const bad =
      failed > 0
        ? `<rect class="failed" x="${at}" y="${y + (half ? 16 : 4)}" width="${BIN - 1}" height="${half ? 12 : 24}"/>`
        : ''
    return `${good}${bad}`
  })
  return `<text class="lane" x="0" y="${y + 20}">${name}</text>${marks.join('')}`
}

export function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`)
}
