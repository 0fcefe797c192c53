/** Every operation that is built. The start checks each against the tables of permissions and key states. */
import { CreateAlias, DeleteAlias, ListAliases, UpdateAlias } from './aliases.ts'
import { CreateKey } from './create-key.ts'
import {
  ConnectCustomKeyStore,
  CreateCustomKeyStore,
  DeleteCustomKeyStore,
  DescribeCustomKeyStores,
  DisconnectCustomKeyStore,
  UpdateCustomKeyStore,
} from './custom-key-stores/index.ts'
import { Decrypt, ReEncrypt } from './decrypt.ts'
import { Encrypt, GenerateDataKey, GenerateDataKeyWithoutPlaintext } from './encrypt.ts'
import { CreateGrant } from './grants/create.ts'
import { RetireGrant, RevokeGrant } from './grants/end.ts'
import { ListGrants, ListRetirableGrants } from './grants/list.ts'
import { DeleteImportedKeyMaterial, GetParametersForImport, ImportKeyMaterial } from './imports.ts'
import { DescribeKey, ListKeys, UpdateKeyDescription } from './keys.ts'
import { CancelKeyDeletion, DisableKey, EnableKey, ScheduleKeyDeletion } from './lifecycle.ts'
import { GetKeyPolicy, ListKeyPolicies, PutKeyPolicy } from './policies.ts'
import { GenerateRandom } from './random.ts'
import {
  DisableKeyRotation,
  EnableKeyRotation,
  GetKeyRotationStatus,
  ListKeyRotations,
  RotateKeyOnDemand,
} from './rotation.ts'
import { ListResourceTags, TagResource, UntagResource } from './tags.ts'
import type { AnyOperation } from './types.ts'

export const OPERATIONS: readonly AnyOperation[] = [
  CreateKey,
  DescribeKey,
  ListKeys,
  EnableKey,
  DisableKey,
  ScheduleKeyDeletion,
  CancelKeyDeletion,
  UpdateKeyDescription,
  Encrypt,
  Decrypt,
  ReEncrypt,
  GenerateDataKey,
  GenerateDataKeyWithoutPlaintext,
  GenerateRandom,
  CreateAlias,
  UpdateAlias,
  DeleteAlias,
  ListAliases,
  CreateGrant,
  ListGrants,
  ListRetirableGrants,
  RetireGrant,
  RevokeGrant,
  TagResource,
  UntagResource,
  ListResourceTags,
  PutKeyPolicy,
  GetKeyPolicy,
  ListKeyPolicies,
  EnableKeyRotation,
  DisableKeyRotation,
  GetKeyRotationStatus,
  RotateKeyOnDemand,
  ListKeyRotations,
  GetParametersForImport,
  ImportKeyMaterial,
  DeleteImportedKeyMaterial,
  CreateCustomKeyStore,
  ConnectCustomKeyStore,
  DisconnectCustomKeyStore,
  UpdateCustomKeyStore,
  DeleteCustomKeyStore,
  DescribeCustomKeyStores,
]
