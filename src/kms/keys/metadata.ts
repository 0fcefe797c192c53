/** KeyMetadata as DescribeKey and CreateKey answer it (aws-kms.md §3.1). Timestamps are epoch seconds. */
import { SPECS } from '../../boundary/algorithms.ts'
import type { KeyHeader, KeySpec, KeyUsage } from '../../boundary/words.ts'
import type { Call, FoundKey } from '../operations/types.ts'
import { shapeOf } from '../wire/model/model.ts'
import { shownState } from './states.ts'

const seconds = (milliseconds: number): number => milliseconds / 1000

/** The member that lists the algorithms of a usage. */
const ALGORITHM_MEMBERS: Readonly<Record<KeyUsage, string>> = {
  ENCRYPT_DECRYPT: 'EncryptionAlgorithms',
  SIGN_VERIFY: 'SigningAlgorithms',
  GENERATE_VERIFY_MAC: 'MacAlgorithms',
  KEY_AGREEMENT: 'KeyAgreementAlgorithms',
  ENCAPSULATE_DECAPSULATE: 'EncapsulationAlgorithms',
}

/** What a key's usage allows (aws-kms.md §3.4). */
export function algorithmMembers({ spec, usage }: Pick<KeyHeader, 'spec' | 'usage'>): Record<string, unknown> {
  return { [ALGORITHM_MEMBERS[usage]]: SPECS[spec].usages[usage] ?? [] }
}

const OLD_SPECS: ReadonlySet<string> = new Set(shapeOf('CustomerMasterKeySpec').enum)

/** The deprecated member beside the new one, for the specs that its enumeration has. */
export function specMembers(spec: KeySpec): Record<string, unknown> {
  return { ...(OLD_SPECS.has(spec) ? { CustomerMasterKeySpec: spec } : {}), KeySpec: spec }
}

export async function keyMetadata(call: Call, key: FoundKey, description: string): Promise<Record<string, unknown>> {
  const { header } = key
  const state = shownState(call, key)
  const current = header.materials.find(material => material.state === 'CURRENT')
  const external = header.origin === 'EXTERNAL_KEY_STORE'
  return {
    AWSAccountId: header.account,
    KeyId: key.keyId,
    Arn: key.arn,
    CreationDate: seconds(header.createdAt),
    Enabled: state === 'Enabled',
    Description: description,
    KeyUsage: header.usage,
    KeyState: state,
    ...(header.state === 'PendingDeletion' ? { DeletionDate: seconds(header.deletionDate) } : {}),
    ...(header.origin === 'EXTERNAL' && current?.present === true
      ? {
          ExpirationModel: current.expirationModel,
          ...(current.expirationModel === 'KEY_MATERIAL_EXPIRES' ? { ValidTo: seconds(current.validTo) } : {}),
        }
      : {}),
    Origin: header.origin,
    KeyManager: header.manager,
    ...specMembers(header.spec),
    ...algorithmMembers(header),
    MultiRegion: false,
    ...(external
      ? {
          CustomKeyStoreId: header.keyStoreId.slice(header.keyStoreId.lastIndexOf('/') + 1),
          XksKeyConfiguration: { Id: header.xksKeyId },
        }
      : {}),
    // Only symmetric keys can have more than one material, and only theirs is shown.
    ...(current === undefined || external || header.spec !== 'SYMMETRIC_DEFAULT'
      ? {}
      : { CurrentKeyMaterialId: current.id }),
  }
}
