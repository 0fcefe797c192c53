/** Every operation that is built. The start checks each against the tables of permissions and key states. */
import { Decapsulate, DeriveSharedSecret, Encapsulate } from './agree.ts'
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
import { GenerateDataKeyPair, GenerateDataKeyPairWithoutPlaintext } from './data-key-pairs.ts'
import { Decrypt } from './decrypt.ts'
import { Encrypt, GenerateDataKey, GenerateDataKeyWithoutPlaintext } from './encrypt.ts'
import { CreateGrant } from './grants/create.ts'
import { RetireGrant, RevokeGrant } from './grants/end.ts'
import { ListGrants, ListRetirableGrants } from './grants/list.ts'
import { DeleteImportedKeyMaterial, GetParametersForImport, ImportKeyMaterial } from './imports.ts'
import { DescribeKey, ListKeys, UpdateKeyDescription } from './keys.ts'
import { CancelKeyDeletion, DisableKey, EnableKey, ScheduleKeyDeletion } from './lifecycle.ts'
import { GenerateMac, VerifyMac } from './mac.ts'
import { GetKeyPolicy, ListKeyPolicies, PutKeyPolicy } from './policies.ts'
import { GetPublicKey } from './public-key.ts'
import { GenerateRandom } from './random.ts'
import { ReEncrypt } from './re-encrypt.ts'
import {
  DisableKeyRotation,
  EnableKeyRotation,
  GetKeyRotationStatus,
  ListKeyRotations,
  RotateKeyOnDemand,
} from './rotation.ts'
import { Sign, Verify } from './sign.ts'
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
  GenerateDataKeyPair,
  GenerateDataKeyPairWithoutPlaintext,
  GenerateRandom,
  Sign,
  Verify,
  GenerateMac,
  VerifyMac,
  DeriveSharedSecret,
  Encapsulate,
  Decapsulate,
  GetPublicKey,
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
