import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { observed } from '../drill/drill.ts'
import type { ActEvidence, Attempt, CompelEvidence, Evidence, ModelEvidence } from '../evidence/types.ts'
import { answer, complete, KEPT, laterRows, table, tally } from './answers.ts'
import { renderHtml } from './html.ts'
import { renderTerminal } from './terminal.ts'

const attempt = (ok: boolean, error = ''): Attempt => ({ at: 0, took: 4, ok, error, message: error && 'because' })

function compel(files: ReadonlyArray<{ before: boolean; routes: Record<string, boolean> }>): CompelEvidence {
  const routes = [...new Set(files.flatMap(file => Object.keys(file.routes)))]
  return {
    startedAt: 0,
    took: 300,
    routes: routes.map(route => ({ route, title: `route ${route}`, with: 'what it holds', prepared: attempt(true) })),
    files: files.map((file, index) => {
      const openedBy = Object.entries(file.routes).find(([, ok]) => ok)?.[0]
      return {
        name: `<file ${index}>`,
        bytes: 10,
        sha256: 'ab'.repeat(32),
        readBefore: file.before,
        ...(openedBy === undefined ? {} : { openedBy }),
        attempts: Object.entries(file.routes).map(([route, ok]) => ({
          route,
          ...attempt(ok, ok ? '' : 'KMSInvalidStateException'),
        })),
      }
    }),
  }
}

function act(over: Partial<ActEvidence> = {}): ActEvidence {
  const sample = (start: number, ok: boolean) => ({ start, end: start + 2, ok, error: ok ? '' : 'DisabledException' })
  return {
    act: 'disable',
    call: 'kms:DisableKey',
    consent: 'the provider',
    attempt: attempt(true),
    uses: [sample(-10, true), sample(5, false)],
    reads: [sample(-10, true), sample(900, true), sample(5100, false)],
    usesAfter: 0,
    lastUse: -10,
    lastRead: 902,
    firstFailedRead: 5100,
    watched: 5600,
    ...over,
  }
}

const model = (acts: ActEvidence[], over: Partial<ModelEvidence> = {}): ModelEvidence => ({
  model: 'customer-managed',
  name: 'cmk',
  keyArn: 'arn:aws:kms:us-east-1:111122223333:key/x',
  manager: 'CUSTOMER',
  origin: 'AWS_KMS',
  acts,
  ...over,
})

const evidence = (models: ModelEvidence[]): Evidence => ({
  holdfast: '0.1.0',
  format: 1,
  startedAt: 0,
  machine: { os: 'linux', arch: 'x64', node: 'v26', cpus: 2 },
  cacheSeconds: 5,
  checkpoints: {},
  models,
})

test('promise 10: the custody report says nothing that was not observed — a cell without evidence says unknown', () => {
  const bare = evidence([model([act({ uses: [], reads: [] })])])
  const [row] = table(bare)
  assert.equal(row?.lastUse, 'unknown')
  assert.equal(row?.cached, 'unknown')
  assert.equal(row?.compelled, 'unknown')
  assert.equal(complete(bare), false)
  assert.equal(complete(evidence([])), false)
  assert.equal(answer(model([act()])).verdict, 'unknown')
})

test('promise 10: kept data keys are shown apart and are not an answer of yes', () => {
  const kept = model([
    act({
      compel: compel([
        { before: true, routes: { root: false, [KEPT]: true } },
        { before: false, routes: { root: false, [KEPT]: false } },
      ]),
    }),
  ])
  const { verdict, text } = answer(kept)
  assert.equal(verdict, 'no')
  assert.match(text, /every route failed; 1 of 2 had been read before/)
  assert.match(
    table(evidence([kept]))[0]?.compelled ?? '',
    /^1 of 2 files, by route kept-data-keys \(already read before\)$/,
  )
})

test('promise 10: one file opened by one route is a yes, with the number and the route', () => {
  const opened = model([
    act({
      compel: compel([
        { before: false, routes: { root: true } },
        { before: true, routes: { root: false } },
      ]),
    }),
  ])
  const { verdict, text } = answer(opened)
  assert.equal(verdict, 'yes')
  assert.match(text, /^Yes: 1 of 2 files, by route root \(8\.0 ms\)\.$/)
  assert.equal(complete(evidence([opened])), true)
})

test('the strongest act of a model is the one after which the provider could open least', () => {
  const weak = act({ compel: compel([{ before: false, routes: { root: true } }]) })
  const strong = act({
    act: 'revoke-at-owner',
    consent: 'nobody',
    compel: compel([{ before: false, routes: { root: false } }]),
  })
  assert.equal(answer(model([weak, strong])).verdict, 'no')
  assert.equal(answer(model([strong, weak])).verdict, 'no')
})

test('uses are counted from the instant at which revoke answered, by when they started', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          start: fc.integer({ min: 0, max: 1000 }),
          took: fc.integer({ min: 1, max: 50 }),
          ok: fc.boolean(),
        }),
      ),
      fc.integer({ min: 0, max: 1000 }),
      (raw, answered) => {
        const samples = raw.map(({ start, took, ok }) => ({ start, end: start + took, ok, error: ok ? '' : 'E' }))
        const seen = observed(samples, samples, answered)
        assert.equal(seen.usesAfter, samples.filter(sample => sample.ok && sample.start > answered).length)
        assert.equal(seen.uses.length, samples.length)
      },
    ),
  )
})

test('the page holds no script, loads nothing, and escapes what it shows', () => {
  const page = renderHtml(evidence([model([act({ compel: compel([{ before: true, routes: { root: false } }]) })])]))
  assert.doesNotMatch(page, /<script|https?:\/\/|<file 0>/)
  assert.match(page, /&#60;file 0&#62;/)
  assert.match(page, /default-src 'none'/)
  assert.match(page, /class="failed"/)
})

test('the terminal report fits its width', () => {
  const text = renderTerminal(
    evidence([model([act({ compel: compel([{ before: true, routes: { root: false } }]) })])]),
    { width: 80 },
  )
  for (const line of text.split('\n')) assert.ok(line.length <= 80, line)
  assert.equal(tally(compel([{ before: false, routes: { root: false } }])).unread, 1)
})

test('what a deletion is worth against old copies is said from what was tried, before and after the root was rotated', () => {
  const opened = compel([
    { before: true, routes: { 'root-backup': true } },
    { before: false, routes: { 'root-backup': true } },
  ])
  const failed = compel([{ before: true, routes: { 'root-backup': false, 'root-kept': true } }])
  const destroyed: CompelEvidence = {
    ...failed,
    root: { held: [2], destroyed: 1, destroyedAt: Date.UTC(2026, 10, 28) },
    files: failed.files.map(file => ({
      ...file,
      attempts: file.attempts.map(each => (each.ok ? each : { ...each, error: 'RootDestroyed' })),
    })),
  }
  const copies = (of?: CompelEvidence): string | undefined =>
    table(evidence([model([act(of === undefined ? {} : { compel: of })])]))[0]?.copies
  assert.equal(copies(), 'unknown')
  assert.equal(copies(compel([{ before: true, routes: { override: true } }])), 'not tried: the plan names no backup')
  assert.equal(copies(opened), 'a backup of before opens 2 of 2 under the root of today')
  assert.equal(
    copies(destroyed),
    'a backup of before opens nothing: its root generation is destroyed (all up to 1, by 2026-11-28T00:00:00.000Z); with the copy of the root that was kept beside it 1 of 1',
  )
  assert.match(copies(failed) ?? '', /opens nothing: KMSInvalidStateException/)
  const later = [
    { model: 'cmk', compel: opened },
    { model: 'cmk', compel: destroyed },
  ]
  const rows = laterRows({ ...evidence([]), later })
  assert.deepEqual(
    rows.map(row => row.root),
    ['unknown', 'generation 2'],
  )
  const shown = renderTerminal({ ...evidence([]), later })
  assert.match(shown, /Tried again later/)
  assert.match(renderHtml({ ...evidence([]), later }), /its root generation is destroyed/)
})
