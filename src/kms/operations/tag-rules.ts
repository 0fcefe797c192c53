/** The rules that tags follow, and AWS's texts where they are broken (aws-kms.md §3.9, §11.2). */
import { KmsError } from '../wire/errors.ts'

export interface TagInput {
  readonly TagKey: string
  readonly TagValue: string
}

/** Checks the tags of one request; `most`: what a key may have; `existing` are the key's. Returns what the key has afterwards. */
export function checkTags(
  tags: readonly TagInput[],
  most: number,
  existing: ReadonlyMap<string, string> = new Map(),
): ReadonlyMap<string, string> {
  const after = new Map(existing)
  const seen = new Set<string>()
  for (const { TagKey, TagValue } of tags) {
    if (TagKey.toLowerCase().startsWith('aws:'))
      throw new KmsError('TagException', 'Tags beginning with aws: are reserved')
    if (seen.has(TagKey)) throw new KmsError('TagException', 'Duplicate tag keys')
    seen.add(TagKey)
    after.set(TagKey, TagValue)
  }
  if (after.size > most) throw new KmsError('TagException', 'Too many tags')
  return after
}
