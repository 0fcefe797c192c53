/** The rotation operations (aws-kms.md §3.7). */
import { BoundaryError } from '../../boundary/words.ts'
import { authorizeKey } from '../keys/allow.ts'
import { findKey } from '../keys/find.ts'
import { checkState } from '../keys/states.ts'
import { KmsError } from '../wire/errors.ts'
import { seconds } from './common.ts'
import { managed } from './lifecycle.ts'
import { pageOf, readMarker } from './markers.ts'
import type { Operation } from './types.ts'

const DEFAULT_PERIOD_DAYS = 365

export const EnableKeyRotation: Operation<{ KeyId: string; RotationPeriodInDays?: number }, void> = {
  name: 'EnableKeyRotation',
  recordedBy: 'boundary',
  async run(call, { KeyId, RotationPeriodInDays = DEFAULT_PERIOD_DAYS }) {
    const key = await managed(call, KeyId, { rotationPeriodInDays: RotationPeriodInDays })
    await call.services.boundary.setKeyRotation(key.rowId, true, RotationPeriodInDays, call.asserted)
  },
}

export const DisableKeyRotation: Operation<{ KeyId: string }, void> = {
  name: 'DisableKeyRotation',
  recordedBy: 'boundary',
  async run(call, { KeyId }) {
    const key = await managed(call, KeyId)
    await call.services.boundary.setKeyRotation(key.rowId, false, key.header.rotationPeriodDays, call.asserted)
  },
}

export const GetKeyRotationStatus: Operation<{ KeyId: string }, object> = {
  name: 'GetKeyRotationStatus',
  recordedBy: 'runner',
  async run(call, { KeyId }) {
    const key = await findKey(call, KeyId, { aliases: false })
    authorizeKey(call, key)
    checkState(call, key)
    const { rotationEnabled, rotationPeriodDays, nextRotationAt, state } = key.header
    const on = rotationEnabled && state !== 'PendingDeletion'
    return {
      KeyId: key.arn,
      KeyRotationEnabled: on,
      ...(on ? { RotationPeriodInDays: rotationPeriodDays, NextRotationDate: seconds(nextRotationAt) } : {}),
    }
  },
}

export const RotateKeyOnDemand: Operation<{ KeyId: string }, object> = {
  name: 'RotateKeyOnDemand',
  recordedBy: 'boundary',
  async run(call, { KeyId }) {
    const key = await managed(call, KeyId)
    try {
      await call.services.boundary.rotateKeyOnDemand(key.rowId, call.asserted)
    } catch (error) {
      if (error instanceof BoundaryError && error.code === 'LimitExceeded') {
        throw new KmsError(
          'LimitExceededException',
          `The on-demand rotations limit has been reached for the given keyId. No more on-demand rotations can be performed for this key: ${key.arn}`,
          { cause: error },
        )
      }
      throw error
    }
    return { KeyId: key.arn }
  },
}

interface ListInput {
  readonly KeyId: string
  readonly IncludeKeyMaterial?: 'ALL_KEY_MATERIAL' | 'ROTATIONS_ONLY'
  readonly Limit?: number
  readonly Marker?: string
}

export const ListKeyRotations: Operation<ListInput, object> = {
  name: 'ListKeyRotations',
  recordedBy: 'runner',
  async run(call, { KeyId, IncludeKeyMaterial = 'ROTATIONS_ONLY', Limit = 100, Marker }) {
    const key = await findKey(call, KeyId, { aliases: false })
    authorizeKey(call, key)
    checkState(call, key)
    const after = Number(readMarker(call, Marker) || -1)
    const imported = key.header.origin === 'EXTERNAL'
    const listed = key.header.materials
      .map((material, index) => ({ material, index }))
      .filter(
        ({ material, index }) =>
          index > after && (IncludeKeyMaterial === 'ALL_KEY_MATERIAL' || material.rotationType !== 'NONE'),
      )
    const { page, ...rest } = pageOf(call, listed, Limit, ({ index }) => String(index))
    const Rotations = page.map(({ material }) => ({
      KeyId: key.arn,
      KeyMaterialId: material.id,
      KeyMaterialState: material.state,
      ...(material.rotationType === 'NONE'
        ? {}
        : { RotationType: material.rotationType, RotationDate: seconds(material.rotatedAt) }),
      ...(imported
        ? {
            ImportState: material.present ? 'IMPORTED' : 'PENDING_IMPORT',
            ...(material.description === '' ? {} : { KeyMaterialDescription: material.description }),
            ...(material.expirationModel === 'NONE' ? {} : { ExpirationModel: material.expirationModel }),
            ...(material.expirationModel === 'KEY_MATERIAL_EXPIRES' ? { ValidTo: seconds(material.validTo) } : {}),
          }
        : {}),
    }))
    return { Rotations, ...rest }
  },
}
