import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { EMPTY_ROOT, leafHash, nodeHash } from '../boundary/journal/merkle.ts'
import {
  proveConsistency,
  proveInclusion,
  rootOf,
  type SubtreeHash,
  verifyConsistency,
  verifyInclusion,
} from './proofs.ts'

const MAX = 300
const hashes = Array.from({ length: MAX }, (_, n) => leafHash(hash('sha384', `leaf ${n}`, 'buffer')))

const split = (size: number): number => 2 ** (Math.ceil(Math.log2(size)) - 1)

/** MTH of RFC 6962 §2.1, word for word. */
function root(leaves: readonly Buffer[]): Buffer {
  if (leaves.length < 2) return leaves[0] ?? EMPTY_ROOT
  const k = split(leaves.length)
  return nodeHash(root(leaves.slice(0, k)), root(leaves.slice(k)))
}

/** PATH of RFC 6962 §2.1.1, word for word. */
function path(m: number, leaves: readonly Buffer[]): Buffer[] {
  if (leaves.length === 1) return []
  const k = split(leaves.length)
  return m < k
    ? [...path(m, leaves.slice(0, k)), root(leaves.slice(k))]
    : [...path(m - k, leaves.slice(k)), root(leaves.slice(0, k))]
}

/** SUBPROOF of RFC 6962 §2.1.2, word for word. */
function subproof(m: number, leaves: readonly Buffer[], known: boolean): Buffer[] {
  if (m === leaves.length) return known ? [] : [root(leaves)]
  const k = split(leaves.length)
  return m <= k
    ? [...subproof(m, leaves.slice(0, k), known), root(leaves.slice(k))]
    : [...subproof(m - k, leaves.slice(k), false), root(leaves.slice(0, k))]
}

const subtree: SubtreeHash = (height, index) => root(hashes.slice(index * 2 ** height, (index + 1) * 2 ** height))
const sizes = fc.integer({ min: 1, max: MAX })
const pairs = sizes.chain(size => fc.tuple(fc.nat(size - 1), fc.constant(size)))
const NAME = 'promise 7: the log only grows, and outsiders can check it'

const changed = (bytes: Buffer, at: number): Buffer => {
  const copy = Buffer.from(bytes)
  copy[at % copy.length] = (copy[at % copy.length] ?? 0) ^ 1
  return copy
}

test(`${NAME} — proofs of inclusion are those of RFC 6962, and prove nothing else`, () => {
  fc.assert(
    fc.property(pairs, fc.nat(), ([index, size], noise) => {
      const leaves = hashes.slice(0, size)
      const proof = proveInclusion(subtree, index, size)
      assert.deepEqual(proof, path(index, leaves))
      assert.deepEqual(rootOf(subtree, size), root(leaves))
      const leaf = leaves[index] as Buffer
      const top = root(leaves)
      assert.ok(verifyInclusion(index, size, leaf, proof, top))
      assert.ok(!verifyInclusion(index, size, changed(leaf, noise), proof, top))
      assert.ok(!verifyInclusion(index, size, leaf, proof, changed(top, noise)))
      assert.ok(!verifyInclusion(index, size, leaf, [...proof, top], top))
      assert.ok(!verifyInclusion(size, size, leaf, proof, top))
      for (const [at, each] of proof.entries()) {
        assert.ok(!verifyInclusion(index, size, leaf, proof.toSpliced(at, 1, changed(each, noise)), top))
        assert.ok(!verifyInclusion(index, size, leaf, proof.toSpliced(at, 1), top))
      }
      const other = noise % size
      if (other !== index) assert.ok(!verifyInclusion(other, size, leaf, proof, top))
    }),
    { numRuns: 300 },
  )
})

test(`${NAME} — proofs of consistency are those of RFC 6962, and prove nothing else`, () => {
  fc.assert(
    fc.property(pairs, fc.nat(), ([before, size], noise) => {
      const old = before + 1
      const leaves = hashes.slice(0, size)
      const proof = proveConsistency(subtree, old, size)
      assert.deepEqual(proof, subproof(old, leaves, true))
      const [oldRoot, top] = [root(hashes.slice(0, old)), root(leaves)]
      assert.ok(verifyConsistency(old, size, oldRoot, top, proof))
      assert.ok(!verifyConsistency(old, size, changed(oldRoot, noise), top, proof))
      assert.ok(!verifyConsistency(old, size, oldRoot, changed(top, noise), proof))
      assert.ok(!verifyConsistency(old, size, oldRoot, top, [...proof, top]))
      for (const [at, each] of proof.entries()) {
        assert.ok(!verifyConsistency(old, size, oldRoot, top, proof.toSpliced(at, 1, changed(each, noise))))
        assert.ok(!verifyConsistency(old, size, oldRoot, top, proof.toSpliced(at, 1)))
      }
      assert.ok(verifyConsistency(0, size, EMPTY_ROOT, top, []))
    }),
    { numRuns: 300 },
  )
})
