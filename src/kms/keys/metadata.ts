/** KeyMetadata as DescribeKey and CreateKey answer it (aws-kms.md §3.1). Timestamps are epoch seconds. */
import type { Call, FoundKey } from '../operations/types.ts'
import { shownState } from './states.ts'

const seconds = (milliseconds: number): number => milliseconds / 1000

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
    CustomerMasterKeySpec: header.spec,
    KeySpec: header.spec,
    EncryptionAlgorithms: ['SYMMETRIC_DEFAULT'],
    MultiRegion: false,
    ...(external
      ? {
          CustomKeyStoreId: header.keyStoreId.slice(header.keyStoreId.lastIndexOf('/') + 1),
          XksKeyConfiguration: { Id: header.xksKeyId },
        }
      : {}),
    ...(current === undefined || external ? {} : { CurrentKeyMaterialId: current.id }),
  }
}
