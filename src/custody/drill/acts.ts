/**
 * The owner's acts: how each is done and undone. The KMS ones are calls of the public API with the customer's own credential; revoking at the
 * owner goes to the owner's boundary over its control socket, which no provider can reach.
 */
import type { KMS } from '@aws-sdk/client-kms'
import type { BoundaryControl } from '../../boundary/client/api.ts'
import type { OwnerAct } from '../evidence/types.ts'

export interface ActContext {
  readonly kms: KMS
  readonly keyArn: string
  readonly ownerKey: string | undefined
  /** Connects to the owner's boundary; only called by the acts that need it. */
  readonly ownerBoundary: () => Promise<BoundaryControl>
}

interface ActDefinition {
  readonly call: string
  readonly consent: 'nobody' | 'the provider'
  perform(context: ActContext): Promise<void>
  undo(context: ActContext): Promise<void>
}

const asserted = (operation: string): { operation: string; principal: string } => ({ operation, principal: 'owner' })

/** Policies to put back, by key. */
const policies = new Map<string, string>()

export const ACTS: Readonly<Record<OwnerAct, ActDefinition>> = {
  disable: {
    call: 'kms:DisableKey',
    consent: 'the provider',
    perform: async ({ kms, keyArn }) => {
      await kms.disableKey({ KeyId: keyArn })
    },
    undo: async ({ kms, keyArn }) => {
      await kms.enableKey({ KeyId: keyArn })
    },
  },
  'deny-by-policy': {
    call: 'kms:PutKeyPolicy with a Deny on every use',
    consent: 'the provider',
    perform: async ({ kms, keyArn }) => {
      const { Policy } = await kms.getKeyPolicy({ KeyId: keyArn })
      const policy = JSON.parse(Policy ?? '{}')
      if (!policies.has(keyArn)) policies.set(keyArn, Policy ?? '')
      policy.Statement = [
        ...policy.Statement,
        {
          Sid: 'Drill',
          Effect: 'Deny',
          Principal: '*',
          Action: ['kms:Decrypt', 'kms:ReEncrypt*', 'kms:GenerateDataKey*'],
          Resource: '*',
        },
      ]
      await kms.putKeyPolicy({ KeyId: keyArn, Policy: JSON.stringify(policy) })
    },
    undo: async ({ kms, keyArn }) => {
      const policy = policies.get(keyArn)
      if (policy === undefined) return
      await kms.putKeyPolicy({ KeyId: keyArn, Policy: policy })
      policies.delete(keyArn)
    },
  },
  'schedule-deletion': {
    call: 'kms:ScheduleKeyDeletion in 7 days',
    consent: 'the provider',
    perform: async ({ kms, keyArn }) => {
      await kms.scheduleKeyDeletion({ KeyId: keyArn, PendingWindowInDays: 7 })
    },
    undo: async ({ kms, keyArn }) => {
      const { KeyMetadata } = await kms.describeKey({ KeyId: keyArn })
      if (KeyMetadata?.KeyState === 'PendingDeletion') await kms.cancelKeyDeletion({ KeyId: keyArn })
      await kms.enableKey({ KeyId: keyArn })
    },
  },
  'delete-imported-material': {
    call: 'kms:DeleteImportedKeyMaterial',
    consent: 'the provider',
    perform: async ({ kms, keyArn }) => {
      await kms.deleteImportedKeyMaterial({ KeyId: keyArn })
    },
    undo: async context => {
      await importOwnersKey(context)
    },
  },
  'revoke-at-owner': {
    call: 'holdfast ekm revoke, on the owner’s side',
    consent: 'nobody',
    perform: async ({ ownerBoundary, ownerKey }) => {
      if (!ownerKey) throw new Error('the plan names no ownerKey for this model')
      await (await ownerBoundary()).revoke({ key: ownerKey }, asserted('ekm:revoke'))
    },
    undo: async ({ ownerBoundary, ownerKey }) => {
      if (!ownerKey) throw new Error('the plan names no ownerKey for this model')
      await (await ownerBoundary()).restore({ key: ownerKey }, asserted('ekm:restore'))
    },
  },
}

/** Bring your own key: the owner's kept copy, wrapped in the owner's boundary under the provider's import key, and imported. */
export async function importOwnersKey({ kms, keyArn, ownerKey, ownerBoundary }: ActContext): Promise<void> {
  if (!ownerKey) throw new Error('the plan names no ownerKey for this model')
  const parameters = await kms.getParametersForImport({
    KeyId: keyArn,
    WrappingAlgorithm: 'RSAES_OAEP_SHA_256',
    WrappingKeySpec: 'RSA_2048',
  })
  const publicKey = Buffer.from(parameters.PublicKey ?? [])
  const owner = await ownerBoundary()
  const known = (await owner.getRow('key', ownerKey)) !== undefined
  const tenant = ownerKey.split('/')[0] ?? ''
  const { wrapped } = await owner.wrapForImport(
    {
      publicKey,
      algorithm: 'RSAES_OAEP_SHA_256',
      material: undefined,
      ...(known ? { from: ownerKey, keepAs: undefined } : { keepAs: { id: ownerKey, scope: tenant, tenant } }),
    },
    asserted('ekm:wrap-for-import'),
  )
  await kms.importKeyMaterial({
    KeyId: keyArn,
    ImportToken: parameters.ImportToken,
    EncryptedKeyMaterial: wrapped,
    ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE',
  })
}
