/**
 * Route 6: the operator's rights. A credential of the customer's own root is made through the control socket; with it whatever the owner did is undone
 * through the KMS itself, and the KMS is asked to decrypt. Afterwards everything is put back, so that the owner's act stays in force.
 */
import { constants, createPublicKey, publicEncrypt } from 'node:crypto'
import { join } from 'node:path'
import type { KeyMetadata, KMS } from '@aws-sdk/client-kms'
import { connectControl } from '../../../boundary/client/control.ts'
import { serviceFolders } from '../../../config/folders.ts'
import { deleteCredential, makeAdministrator } from '../../../kms/admin/index.ts'
import { kmsClient } from '../../data-service/envelope.ts'
import type { CustodyPlan } from '../../plan.ts'
import { Holdings } from '../holdings.ts'
import { described, type KeyRoute, RouteFailure, type SealedFile } from '../route.ts'

const DAY = 86_400_000

export function override(plan: CustodyPlan, provider: NonNullable<CustodyPlan['provider']>, keyArn: string): KeyRoute {
  const { endpoint, region } = plan.kms
  const undo: (() => Promise<unknown>)[] = []
  const clients: KMS[] = []

  /** A client with a credential of the customer's root that nobody but the provider has asked for. */
  async function becomeRoot(): Promise<KMS> {
    const account = keyArn.split(':')[4] ?? ''
    const control = connectControl({ socket: join(serviceFolders(provider.folder).boundary, 'control.sock') })
    undo.push(async () => control.close())
    const { accessKeyId, secretAccessKey } = await makeAdministrator(control, { account })
    undo.push(() => deleteCredential(control, accessKeyId))
    const secret = secretAccessKey.reveal(bytes => bytes.toString('latin1'))
    secretAccessKey.wipe()
    return kmsClient({ endpoint, region, accessKeyId, secretAccessKey: secret })
  }

  return {
    route: 'override',
    title: 'overriding the owner’s act with operator rights',
    with: 'its boundary’s control socket: a root credential in the customer’s account, and the KMS’s own operations',
    async prepare() {
      clients.push(kmsClient({ endpoint, region, ...plan.dataService.credential }))
      const root = await becomeRoot()
      clients.push(root)
      const problems: string[] = []
      const step = async (operation: string, action: () => Promise<unknown>): Promise<void> => {
        try {
          await action()
        } catch (error) {
          const { name, message } = described(error)
          problems.push(`${operation}: ${name}: ${message}`)
        }
      }
      await step('PutKeyPolicy', () => putDefaultPolicy(root, keyArn, undo))
      await step('restoring the key’s state', () => reviveKey(root, keyArn, undo))
      await step('ImportKeyMaterial', () => importAgain(root, keyArn, provider, region, undo))
      if (problems.length > 0) throw new RouteFailure('Refused', problems.join(' '))
    },
    async unwrap(encryptedDataKey, file) {
      let last: unknown = new RouteFailure('NotPrepared', 'The route could not be prepared.')
      // The customer's root last, since its refusal says most of the key; the service's role may use keys that customers may not.
      for (const client of clients) {
        try {
          return await decrypt(client, encryptedDataKey, file)
        } catch (error) {
          last = error
        }
      }
      throw last
    },
    async finish() {
      const failures: string[] = []
      for (const action of undo.splice(0).reverse()) {
        await action().catch((error: unknown) => failures.push(described(error).name))
      }
      for (const client of clients.splice(0)) client.destroy()
      if (failures.length > 0)
        throw new RouteFailure('NotPutBack', `The override is still in force: ${failures.join(', ')}.`)
    },
  }
}

async function decrypt(client: KMS, blob: Buffer, file: SealedFile): Promise<Buffer> {
  const { Plaintext } = await client.decrypt({
    CiphertextBlob: blob,
    EncryptionContext: Object.fromEntries(file.context),
  })
  if (Plaintext === undefined) throw new RouteFailure('NoPlaintext', 'The KMS answered without a plaintext.')
  return Buffer.from(Plaintext)
}

type Undo = (() => Promise<unknown>)[]

async function describe(kms: KMS, keyArn: string): Promise<KeyMetadata> {
  const { KeyMetadata: metadata } = await kms.describeKey({ KeyId: keyArn })
  if (metadata === undefined) throw new RouteFailure('NoMetadata', 'The KMS answered without metadata.')
  return metadata
}

/** The policy of a key that was made without one: every right to the customer's root. */
async function putDefaultPolicy(kms: KMS, keyArn: string, undo: Undo): Promise<void> {
  const { Arn = keyArn } = await describe(kms, keyArn)
  const { Policy: before } = await kms.getKeyPolicy({ KeyId: Arn })
  const [, partition, , , account] = Arn.split(':')
  const statement = {
    Sid: 'Enable IAM User Permissions',
    Effect: 'Allow',
    Principal: { AWS: `arn:${partition}:iam::${account}:root` },
    Action: 'kms:*',
    Resource: '*',
  }
  await kms.putKeyPolicy({ KeyId: Arn, Policy: JSON.stringify({ Version: '2012-10-17', Statement: [statement] }) })
  if (before !== undefined) undo.push(() => kms.putKeyPolicy({ KeyId: Arn, Policy: before }))
}

/** Cancels a deletion and enables the key. */
async function reviveKey(kms: KMS, keyArn: string, undo: Undo): Promise<void> {
  const { Arn = keyArn, KeyState, DeletionDate } = await describe(kms, keyArn)
  if (KeyState === 'PendingDeletion') {
    const days = Math.ceil(((DeletionDate?.getTime() ?? 0) - Date.now()) / DAY)
    await kms.cancelKeyDeletion({ KeyId: Arn })
    undo.push(() => kms.scheduleKeyDeletion({ KeyId: Arn, PendingWindowInDays: Math.min(30, Math.max(7, days)) }))
  }
  const after = (await describe(kms, keyArn)).KeyState
  if (after === 'PendingImport') return
  // Asked for also where the key is enabled: whether the provider may is a part of the evidence.
  await kms.enableKey({ KeyId: Arn })
  if (KeyState === 'Disabled') undo.push(() => kms.disableKey({ KeyId: Arn }))
}

/** Imports the deleted material of an imported key again, from the backup: the owner is not needed for it. */
async function importAgain(
  kms: KMS,
  keyArn: string,
  provider: NonNullable<CustodyPlan['provider']>,
  region: string,
  undo: Undo,
): Promise<void> {
  const { Arn = keyArn, Origin, KeyState, KeyId } = await describe(kms, keyArn)
  if (Origin !== 'EXTERNAL' || KeyState !== 'PendingImport') return
  const holdings = await Holdings.backups(provider, region)
  try {
    const { materials } = await holdings.key(KeyId ?? '')
    for (const material of materials.values()) {
      const parameters = await kms.getParametersForImport({
        KeyId: Arn,
        WrappingAlgorithm: 'RSAES_OAEP_SHA_256',
        WrappingKeySpec: 'RSA_2048',
      })
      const key = createPublicKey({ key: Buffer.from(parameters.PublicKey ?? []), format: 'der', type: 'spki' })
      const clear = material.export()
      const wrapped = publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }, clear)
      clear.fill(0)
      const { KeyMaterialId } = await kms.importKeyMaterial({
        KeyId: Arn,
        ImportToken: parameters.ImportToken,
        EncryptedKeyMaterial: wrapped,
        ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE',
      })
      undo.push(() => kms.deleteImportedKeyMaterial({ KeyId: Arn, ...(KeyMaterialId ? { KeyMaterialId } : {}) }))
    }
  } finally {
    await holdings.close()
  }
}
