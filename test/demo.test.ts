/** `holdfast demo` as a newcomer runs it: both sides, four keys, real revocations, and the evidence that it writes. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { chromium } from 'playwright-core'
import type { ActEvidence, CompelEvidence, Evidence, ModelEvidence } from '../src/custody/evidence/types.ts'
import { KEPT } from '../src/custody/report/answers.ts'

const run = promisify(execFile)
const root = resolve(import.meta.dirname, '..')

let folder: string
let printed: string
let evidence: Evidence
const demo = (...args: string[]) =>
  run(join(root, 'bin/holdfast'), ['demo', '--once', '--cache', '1', '--dir', join(folder, 'kept'), ...args], {
    cwd: folder,
    timeout: 120_000,
  })

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-demo-'))
  const { stdout } = await demo()
  printed = stdout
  evidence = JSON.parse(readFileSync(join(folder, 'kept/evidence.json'), 'utf8')) as Evidence
})
after(() => rm(folder, { recursive: true, force: true }))

function model(name: ModelEvidence['model']): ModelEvidence {
  const found = evidence.models.find(one => one.model === name)
  assert.ok(found, name)
  return found
}

function compelled(act: ActEvidence | undefined): CompelEvidence {
  assert.ok(act?.compel)
  return act.compel
}

const openedBy = (compel: CompelEvidence, route: string): number =>
  compel.files.filter(file => file.attempts.some(attempt => attempt.route === route && attempt.ok)).length

test('promise 3: revoked means revoked — no use that started after the answer succeeded, where the provider could not refuse the act', () => {
  for (const name of ['customer-managed', 'bring-your-own-key', 'hold-your-own-key'] as const) {
    for (const act of model(name).acts) {
      assert.equal(act.attempt.ok, true, `${name} ${act.act}: ${act.attempt.error}`)
      assert.equal(act.usesAfter, 0, `${name} ${act.act}`)
      assert.ok(
        act.uses.some(use => use.ok && use.start < 0),
        'the key was in use before',
      )
      assert.ok(
        act.uses.some(use => !use.ok && use.start > 0),
        'and asked for afterwards',
      )
      assert.ok(
        (act.lastRead ?? 0) <= 1500,
        `cached data keys served for ${act.lastRead} ms, with a cache of one second`,
      )
      assert.equal(act.restore?.ok, true, `${name} ${act.act} restored: ${act.restore?.error}`)
    }
  }
})

test('a provider-managed key: each act of its customer is refused, and the refusals are the evidence', () => {
  const { acts } = model('provider-managed')
  assert.equal(acts.length, 3)
  for (const act of acts) {
    assert.equal(act.attempt.error, 'AccessDeniedException')
    assert.equal(
      act.uses.every(use => use.ok),
      true,
    )
  }
})

test('what the compelled provider opens: everything by its own root, deleted imported material from its backup', () => {
  for (const act of [...model('provider-managed').acts, ...model('customer-managed').acts]) {
    const compel = compelled(act)
    assert.equal(openedBy(compel, 'root-now'), compel.files.length)
    if (act.attempt.ok) assert.equal(openedBy(compel, 'override'), compel.files.length)
  }
  const byok = compelled(model('bring-your-own-key').acts[0])
  assert.equal(openedBy(byok, 'root-now'), 0)
  assert.equal(openedBy(byok, 'root-backup'), byok.files.length)
  assert.equal(openedBy(byok, 'override'), byok.files.length)
})

test('promise 9: with hold-your-own-key every route fails but what was read before, and the control group stays closed', () => {
  const compel = compelled(model('hold-your-own-key').acts[0])
  const routes = compel.routes.map(({ route }) => route)
  assert.deepEqual(routes, ['root-now', 'root-backup', 'data-service', 'proxy', 'replay', 'override', KEPT])
  const control = compel.files.filter(file => !file.readBefore)
  assert.ok(control.length > 0)
  for (const file of control) {
    assert.equal(file.openedBy, undefined)
    assert.ok(
      file.attempts.length === routes.length && file.attempts.every(attempt => !attempt.ok && attempt.error !== ''),
    )
  }
  for (const file of compel.files.filter(file => file.readBefore)) assert.equal(file.openedBy, KEPT)
})

test('promise 10: the report says what was observed, on the terminal and as a page that loads nothing', async () => {
  assert.match(printed, /Hold your own key \(HYOK\)\s+No: every route failed/)
  assert.match(printed, /Customer-managed \(CMK\)\s+Yes: /)
  assert.doesNotMatch(printed, /unknown/)
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-first-run',
    ],
  })
  try {
    const page = await browser.newPage()
    const loaded: string[] = []
    const problems: string[] = []
    page.on('request', request => loaded.push(request.url()))
    page.on('console', message => problems.push(message.text()))
    await page.goto(`file://${join(folder, 'kept/report.html')}`)
    assert.equal(loaded.length, 1)
    assert.deepEqual(problems, [])
    assert.equal(await page.locator('svg').count(), 8)
    assert.equal(await page.locator('.answer.no').count(), 1)
  } finally {
    await browser.close()
  }
})

test('the next start resumes with the same keys and with other data; a folder that is not the demo’s is not touched', async () => {
  const data = join(folder, 'data')
  mkdirSync(join(data, 'deep'), { recursive: true })
  for (const name of ['a.txt', 'b.bin', 'deep/ü é.txt', 'empty', 'z'])
    writeFileSync(join(data, name), name === 'empty' ? '' : `${name}\n`.repeat(20_000))
  const keys = evidence.models.map(({ keyArn }) => keyArn)
  await demo('--data', data)
  const second = JSON.parse(readFileSync(join(folder, 'kept/evidence.json'), 'utf8')) as Evidence
  assert.deepEqual(
    second.models.map(({ keyArn }) => keyArn),
    keys,
  )
  assert.ok(second.models[0]?.acts[0]?.compel?.files.some(file => file.name === 'deep/ü é.txt'))
  assert.ok(second.models.every(({ acts }) => acts.every(act => act.compel?.files.length === 5)))
  mkdirSync(join(folder, 'mine'))
  writeFileSync(join(folder, 'mine/precious'), 'x')
  await assert.rejects(
    run(join(root, 'bin/holdfast'), ['demo', '--once', '--fresh', '--dir', join(folder, 'mine')]),
    /is not a demo's folder/,
  )
  assert.ok(existsSync(join(folder, 'mine/precious')))
})
