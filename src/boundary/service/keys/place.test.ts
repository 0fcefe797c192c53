import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readPlace, readWantedPlace, writePlace } from './place.ts'

test('a place is read back from what is written of it', () => {
  for (const text of [
    'id:00ff',
    'label:a',
    'label:token=x opens=y id:00',
    'token=backup id:00',
    'opens=aws-xks-proxy label:foo',
    'token=site-2 opens=aws-xks-proxy label: spaces \n and lines',
  ])
    assert.equal(writePlace(readPlace(text)), text)
  assert.deepEqual(readPlace('token=b opens=aws-xks-proxy id:0a'), {
    token: 'b',
    opens: 'aws-xks-proxy',
    object: 'id:0a',
  })
})

test('what is to be made needs no object', () => {
  assert.deepEqual(readWantedPlace(''), { token: '', opens: undefined, object: undefined })
  assert.deepEqual(readWantedPlace('token=backup'), { token: 'backup', opens: undefined, object: undefined })
  for (const text of ['', 'token=backup', 'opens=aws-xks-proxy']) assert.throws(() => readPlace(text), /id:<hex>/)
})

test('nothing else is a place', () => {
  for (const text of [
    ' ',
    'id:',
    'id:0',
    'id:0A',
    'id:00 ',
    'label:',
    'name:x',
    'token= id:00',
    'token=Backup id:00',
    'token=b  id:00',
    'token=b token=c id:00',
    'opens=aws-xks-proxy token=b id:00',
    'opens=other id:00',
    'opens= id:00',
    `id:${'00'.repeat(256)}`,
    `label:${'x'.repeat(256)}`,
  ])
    assert.throws(() => readWantedPlace(text), /id:<hex>/, text)
})
