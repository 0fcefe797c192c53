/** CreateKey (aws-kms.md §3.1): keys of every spec, of the provider and for imported material; symmetric ones in an owner's external key store. */
import { randomBytes, randomUUID } from 'node:crypto'
import { SPECS } from '../../boundary/algorithms.ts'
import type { KeyRow, PutRow } from '../../boundary/client/api.ts'
import type { KeySpec, KeyUsage } from '../../boundary/words.ts'
import { FactsContext } from '../access/context.ts'
import { defaultKeyPolicy } from '../access/defaults.ts'
import { LOCKOUT_MESSAGE, wouldLockOut } from '../access/lockout.ts'
import { MalformedPolicyError, PolicyTooLargeError } from '../access/types.ts'
import { checkKeyPolicy } from '../access/validate.ts'
import { authorizeAny } from '../keys/allow.ts'
import { writeAttributes } from '../keys/attributes.ts'
import { findKeyById, placeOf } from '../keys/find.ts'
import { headerOf } from '../keys/header.ts'
import { keyArn, keyRowId } from '../keys/identifiers.ts'
import { keyMetadata } from '../keys/metadata.ts'
import { KmsError } from '../wire/errors.ts'
import { overQuota } from './common.ts'
import { notConnected } from './custom-key-stores/shared.ts'
import { inOrder } from './in-order.ts'
import { checkTags, type TagInput } from './tag-rules.ts'
import type { Call, Operation } from './types.ts'

interface Input {
  readonly Policy?: string
  readonly Description?: string
  readonly KeyUsage?: string
  readonly KeySpec?: string
  readonly CustomerMasterKeySpec?: string
  readonly Origin?: 'AWS_KMS' | 'EXTERNAL' | 'EXTERNAL_KEY_STORE' | 'AWS_CLOUDHSM'
  readonly CustomKeyStoreId?: string
  readonly BypassPolicyLockoutSafetyCheck?: boolean
  readonly Tags?: readonly TagInput[]
  readonly MultiRegion?: boolean
  readonly XksKeyId?: string
}

export const CreateKey: Operation<Input, { KeyMetadata: Record<string, unknown> }> = {
  name: 'CreateKey',
  recordedBy: 'boundary',
  async run(call, input) {
    const { spec, usage, origin } = checkShape(input)
    const tags = checkTags(input.Tags ?? [], call.services.settings.quotas.tagsPerKey)
    const multiRegion = input.MultiRegion ?? false
    const bypass = input.BypassPolicyLockoutSafetyCheck ?? false
    authorizeAny(call, {
      newKey: { spec, usage, origin, multiRegion },
      requestTags: tags,
      bypassPolicyLockoutSafetyCheck: bypass,
    })
    const keyId = multiRegion ? `mrk-${randomBytes(16).toString('hex')}` : randomUUID()
    const policy = await policyFor(call, input.Policy, keyArn(placeOf(call), keyId), bypass)
    const { account } = call.caller
    const keyStoreId = input.CustomKeyStoreId === undefined ? '' : `${account}/${call.region}/${input.CustomKeyStoreId}`
    const id = keyRowId(call.region, keyId)
    const scope = `${account}/${call.region}`
    const description = input.Description ?? ''
    const attributes: PutRow = {
      kind: 'attributes',
      id,
      scope,
      link: '',
      expected: 0,
      body: writeAttributes({ description, tags }),
    }
    call.keyId = id
    const xksKeyId = input.XksKeyId ?? ''
    const create = async (): Promise<void> => {
      if (keyStoreId !== '') await checkStore(call, keyStoreId, origin)
      if (origin === 'EXTERNAL_KEY_STORE') await checkExternal(call, keyStoreId, xksKeyId, keyId)
      await call.services.boundary.createKey(
        {
          id,
          scope,
          account,
          spec,
          usage,
          origin,
          multiRegion,
          manager: 'CUSTOMER',
          managerService: '',
          policy,
          keyStoreId,
          xksKeyId,
          rows: [attributes],
        },
        call.asserted,
      )
    }
    // An external key belongs to one key of its store.
    await (keyStoreId === '' ? create() : inOrder(`keys of ${keyStoreId}`, create))
    const key = await findKeyById(call, keyId)
    if (key === undefined)
      throw new KmsError('KMSInternalException', undefined, { cause: new Error(`${id} was made and is not there`) })
    return { KeyMetadata: await keyMetadata(call, key, description) }
  },
}

interface Shape {
  readonly spec: KeySpec
  readonly usage: KeyUsage
  readonly origin: 'AWS_KMS' | 'EXTERNAL' | 'EXTERNAL_KEY_STORE' | 'AWS_CLOUDHSM'
}

/** Which of the combinations that the model allows can be made. */
function checkShape(input: Input): Shape {
  if (input.KeySpec !== undefined && input.CustomerMasterKeySpec !== undefined) {
    throw new KmsError(
      'ValidationException',
      'You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec is deprecated.',
    )
  }
  const { spec, usage } = checkSpec(input.KeySpec ?? input.CustomerMasterKeySpec ?? 'SYMMETRIC_DEFAULT', input.KeyUsage)
  const origin = input.Origin ?? 'AWS_KMS'
  if (input.MultiRegion === true && (origin === 'EXTERNAL_KEY_STORE' || origin === 'AWS_CLOUDHSM'))
    throw new KmsError('UnsupportedOperationException', 'A key in a custom key store cannot be a multi-Region key.')
  const external = origin === 'EXTERNAL_KEY_STORE'
  const inStore = external || origin === 'AWS_CLOUDHSM'
  if (inStore !== (input.CustomKeyStoreId !== undefined) || external !== (input.XksKeyId !== undefined)) {
    throw new KmsError(
      'ValidationException',
      'CustomKeyStoreId goes with Origin EXTERNAL_KEY_STORE and AWS_CLOUDHSM, XksKeyId with EXTERNAL_KEY_STORE, and they need them.',
    )
  }
  if ((inStore && spec !== 'SYMMETRIC_DEFAULT') || (origin === 'EXTERNAL' && !SPECS[spec].importable)) {
    throw new KmsError('UnsupportedOperationException', `KeySpec ${spec} is not supported for Origin ${origin}.`)
  }
  return { spec, usage, origin }
}

/** The spec and what the key is to be for, where both are there and go together (aws-kms.md §3.4). */
function checkSpec(spec: string, given: string | undefined): Pick<Shape, 'spec' | 'usage'> {
  if (spec !== 'SYMMETRIC_DEFAULT' && given === undefined) {
    throw new KmsError(
      'ValidationException',
      'You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.',
    )
  }
  // The model has it, for Regions that this service does not have.
  if (spec === 'SM2')
    throw new KmsError('UnsupportedOperationException', 'KeySpec SM2 is not supported in this Region.')
  const usage = given ?? 'ENCRYPT_DECRYPT'
  if (SPECS[spec as KeySpec].usages[usage as KeyUsage] === undefined)
    throw new KmsError('ValidationException', `KeyUsage ${usage} is not compatible with KeySpec ${spec}`)
  return { spec: spec as KeySpec, usage: usage as KeyUsage }
}

/** The policy's bytes: as given once it was checked, or AWS's default. */
export async function policyFor(call: Call, text: string | undefined, arn: string, bypass: boolean): Promise<Buffer> {
  if (text === undefined) return defaultKeyPolicy(call.caller.account, call.services.settings.partition)
  const bytes = Buffer.from(text)
  try {
    const policy = await checkKeyPolicy(
      bytes,
      name => call.services.principals.exists(name),
      call.services.settings.quotas.policyBytes,
    )
    if (!bypass && wouldLockOut(policy, call.caller, arn, new FactsContext(call.facts)))
      throw new MalformedPolicyError(LOCKOUT_MESSAGE)
  } catch (error) {
    if (error instanceof MalformedPolicyError) throw new KmsError('MalformedPolicyDocumentException', error.message)
    if (error instanceof PolicyTooLargeError) throw overQuota(error.message)
    throw error
  }
  return bytes
}

/** The store is there, connected, and of the type that the origin wants. */
async function checkStore(call: Call, keyStoreId: string, origin: string): Promise<void> {
  const { stores } = call.services
  const name = keyStoreId.slice(keyStoreId.lastIndexOf('/') + 1)
  const { type } = await stores.find(keyStoreId)
  if (type !== origin) {
    throw new KmsError(
      'UnsupportedOperationException',
      `Origin ${origin} is not for a custom key store of type ${type}.`,
    )
  }
  if (!stores.connected(keyStoreId)) throw notConnected(name)
}

/** The external key is usable, and no other key of this store has it. */
async function checkExternal(call: Call, keyStoreId: string, xksKeyId: string, keyId: string): Promise<void> {
  const { stores } = call.services
  await stores.checkKey(keyStoreId, xksKeyId, {
    principalArn: call.caller.arn,
    keyArn: keyArn(placeOf(call), keyId),
    operation: 'CreateKey',
    requestId: call.requestId,
    viaService: '',
  })
  if (await inUse(call, keyStoreId, xksKeyId))
    throw new KmsError(
      'XksKeyAlreadyInUseException',
      `The external key ${xksKeyId} is already associated with another KMS key in this external key store.`,
    )
}

/** Whether a key of the store, in whatever state, has this external key. */
async function inUse(call: Call, keyStoreId: string, xksKeyId: string): Promise<boolean> {
  const limit = 1000
  for (let after = ''; ; ) {
    const rows = await call.services.replica.listLinked('key', keyStoreId, { after, limit })
    if (rows.some(row => headerOf(row as KeyRow).xksKeyId === xksKeyId)) return true
    if (rows.length < limit) return false
    after = rows.at(-1)?.id ?? ''
  }
}
