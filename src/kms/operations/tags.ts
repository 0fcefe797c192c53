/** TagResource, UntagResource, ListResourceTags (aws-kms.md §3.9). */
import { authorizeKey } from '../keys/allow.ts'
import { findKey } from '../keys/find.ts'
import { checkState } from '../keys/states.ts'
import { changeAttributes } from './keys.ts'
import { pageOf, readMarker } from './markers.ts'
import { checkTags, type TagInput } from './tag-rules.ts'
import type { Operation } from './types.ts'

export const TagResource: Operation<{ KeyId: string; Tags: readonly TagInput[] }, void> = {
  name: 'TagResource',
  recordedBy: 'boundary',
  async run(call, { KeyId, Tags }) {
    const key = await findKey(call, KeyId, { aliases: false })
    authorizeKey(call, key, { requestTags: new Map(Tags.map(tag => [tag.TagKey, tag.TagValue])) })
    checkState(call, key)
    await changeAttributes(call, key, now => ({
      ...now,
      tags: checkTags(Tags, call.services.settings.quotas.tagsPerKey, now.tags),
    }))
  },
}

export const UntagResource: Operation<{ KeyId: string; TagKeys: readonly string[] }, void> = {
  name: 'UntagResource',
  recordedBy: 'boundary',
  async run(call, { KeyId, TagKeys }) {
    const key = await findKey(call, KeyId, { aliases: false })
    authorizeKey(call, key, { requestTagKeys: TagKeys })
    checkState(call, key)
    const gone = new Set(TagKeys)
    await changeAttributes(call, key, now => ({
      ...now,
      tags: new Map([...now.tags].filter(([name]) => !gone.has(name))),
    }))
  },
}

export const ListResourceTags: Operation<{ KeyId: string; Limit?: number; Marker?: string }, object> = {
  name: 'ListResourceTags',
  recordedBy: 'runner',
  async run(call, { KeyId, Limit = 50, Marker }) {
    const key = await findKey(call, KeyId, { aliases: false })
    authorizeKey(call, key)
    const after = readMarker(call, Marker)
    const sorted = [...(key.tags ?? [])].sort(([a], [b]) => (a < b ? -1 : 1)).filter(([name]) => name > after)
    const { page, ...rest } = pageOf(call, sorted, Limit, ([name]) => name)
    return { Tags: page.map(([TagKey, TagValue]) => ({ TagKey, TagValue })), ...rest }
  },
}
