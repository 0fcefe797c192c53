import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { singleValues, splitTarget } from './headers.ts'

describe('headers and targets', () => {
  it('repeated fields are joined, and those that matter refused', () => {
    assert.equal(singleValues(['A', '1', 'a', '2'], 9)?.a, '1,2')
    for (const name of ['Host', 'AUTHORIZATION', 'x-amz-target', 'Content-Type']) {
      assert.equal(singleValues([name, '1', name.toLowerCase(), '1'], 9), undefined)
    }
    assert.equal(singleValues(['content-length', '1', 'transfer-encoding', 'chunked'], 9), undefined)
    assert.deepEqual(Object.keys(singleValues(['__proto__', '1', 'constructor', '2'], 9) ?? {}), [
      '__proto__',
      'constructor',
    ])
    assert.equal(singleValues(['host', 'h'], 9)?.constructor, undefined)
  })
  it('a target is a path and a query, as sent', () => {
    assert.deepEqual(splitTarget('/a?b?c'), { rawPath: '/a', query: 'b?c' })
    assert.deepEqual(splitTarget('//a/../b'), { rawPath: '//a/../b', query: '' })
    for (const target of ['', '*', 'a', 'http://h/', '/a b', '/é', '/a#b', '/\u007f'])
      assert.equal(splitTarget(target), undefined)
  })
})
