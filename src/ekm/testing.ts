/**
 * For unit tests: an owner's boundary and store in memory. Keys are sealed and used by the boundary's own formats; records are kept in a list, so
 * that a test can count them. It has no sockets, no disk and no isolation.
 */
import { type KeyObject, randomBytes } from 'node:crypto'
import type { BoundaryUse, ExternalCiphertext, KeyRow, RecordEntry } from '../boundary/client/api.ts'
import { decryptExternal, encryptExternal, readExternalMetadata } from '../boundary/crypto/external.ts'
import { openKey, sealKey } from '../boundary/crypto/sealed.ts'
import { Keyring } from '../boundary/root/keyring.ts'
import { Secret as RootSecret } from '../boundary/root/types.ts'
import { encodeSwitch } from '../boundary/service/keys/switches.ts'
import {
  type Asserted,
  BoundaryError,
  type KeyHeader,
  type KeyState,
  type Row,
  type RowKind,
} from '../boundary/words.ts'
import { Secret } from '../store/secret.ts'
import { keyRowId } from './keys/names.ts'
import { type TenantBody, writeTenant } from './keys/tenants.ts'

export interface KeptRecord extends Omit<RecordEntry, 'count'> {
  readonly count: number
  /** True where the boundary recorded a use of its own. */
  readonly use: boolean
}

export class FakeOwner {
  readonly keyring = new Keyring(randomBytes(16), new Map([[1, new RootSecret(randomBytes(32))]]))
  readonly rows = new Map<string, Row>()
  readonly secrets = new Map<string, Secret>()
  readonly records: KeptRecord[] = []
  /** Thrown by everything that asks the boundary. */
  broken: BoundaryError | undefined
  healthy = true
  selfTests = 0
  readonly #opened = new Map<Row, ReturnType<typeof openKey>>()

  put(kind: RowKind, id: string, scope: string, body: Buffer | null): Row {
    const name = `${kind} ${id}`
    const revision = (this.rows.get(name)?.revision ?? 0) + 1
    const row: Row = { kind, id, scope, link: '', revision, body, tag: Buffer.alloc(32) }
    this.rows.set(name, row)
    return row
  }

  tenant(name: string, body: Partial<TenantBody> = {}): void {
    this.put('tenant', name, name, writeTenant({ v: 1, created: 1, clients: [], credentials: {}, ...body }))
  }

  credential(tenant: string, accessKeyId: string, secret: string): void {
    this.put('credential', accessKeyId, tenant, Buffer.alloc(0))
    this.secrets.set(accessKeyId, new Secret(Buffer.from(secret)))
  }

  key(
    tenant: string,
    keyId: string,
    {
      state = 'Enabled',
      mayEncrypt = true,
      mayDecrypt = true,
    }: Partial<Pick<KeyHeader, 'state' | 'mayEncrypt' | 'mayDecrypt'>> = {},
  ): void {
    const id = keyRowId(tenant, keyId)
    const header = headerOf(id, tenant, state, mayEncrypt, mayDecrypt)
    this.put('key', id, tenant, sealKey(this.keyring, header, new Map([['00000001', randomBytes(32)]])))
  }

  switch(id: string, revoked: boolean): void {
    this.put('switch', id, '', encodeSwitch(revoked, 1))
  }

  readonly replica = {
    peek: (kind: RowKind, id: string): Row | null | undefined => {
      if (this.broken) return undefined
      const row = this.rows.get(`${kind} ${id}`)
      return row?.body ? row : null
    },
    get: async (kind: RowKind, id: string): Promise<Row | undefined> => {
      if (this.broken) throw this.broken
      return this.replica.peek(kind, id) ?? undefined
    },
    secret: async (_kind: RowKind, id: string): Promise<Secret | undefined> => this.secrets.get(id),
    peekSecret: (_kind: RowKind, id: string): Secret | null | undefined => this.secrets.get(id) ?? null,
    refresh: (_stale: Row, current: Row | undefined): void => {
      if (current !== undefined) this.rows.set(`${current.kind} ${current.id}`, current)
    },
  }

  readonly boundary: Pick<BoundaryUse, 'externalEncrypt' | 'externalDecrypt' | 'record' | 'selfTest' | 'status'> = {
    externalEncrypt: async (key, plaintext, aad, integrity, asserted) =>
      this.#use(key, asserted, 'mayEncrypt', material =>
        encryptExternal(material('00000001'), 1, plaintext, aad, integrity),
      ),
    externalDecrypt: async (key, ciphertext: ExternalCiphertext, aad, asserted) =>
      this.#use(key, asserted, 'mayDecrypt', material => {
        const version = readExternalMetadata(ciphertext.metadata) ?? 1
        return decryptExternal(material(version.toString(16).padStart(8, '0')), ciphertext, aad)
      }),
    record: async entry => {
      if (this.broken) throw this.broken
      this.records.push({ ...entry, use: false })
    },
    selfTest: async () => {
      if (this.broken) throw this.broken
      this.selfTests++
      return { ok: this.healthy, detail: this.healthy ? '' : 'the token does not decrypt what it encrypted' }
    },
    status: async () => {
      if (this.broken) throw this.broken
      return {
        service: 'ekm',
        boundaryId: 'ab'.repeat(16),
        version: '1.0.0',
        pid: 1,
        locked: false,
        rootKind: 'keyfile',
        rootGeneration: 1,
        lastWriteSet: 0,
        logSize: 0,
        logOrigin: 'test',
        logKey: '',
        dev: true,
        lifecycleNow: 0,
        keys: 0,
        warnings: [],
      }
    },
  }

  #use<T>(
    key: KeyRow,
    asserted: Asserted,
    usage: 'mayEncrypt' | 'mayDecrypt',
    run: (material: (id: string) => KeyObject) => T,
  ): T {
    if (this.broken) throw this.broken
    const current = this.rows.get(`key ${key.id}`)
    if (current?.revision !== key.revision) throw new BoundaryError('StaleKey', '', current)
    const opened = this.#opened.get(current) ?? openKey(this.keyring, current.body ?? Buffer.alloc(0))
    this.#opened.set(current, opened)
    try {
      if (opened.header.state === 'Revoked') throw new BoundaryError('KeyRevoked')
      if (!opened.header[usage]) throw new BoundaryError('InvalidKeyUsage')
      const result = run(id => {
        const material = opened.materials.get(id)
        if (material === undefined) throw new BoundaryError('InvalidCiphertext')
        return material
      })
      this.records.push({ outcome: 'allowed', error: '', keyId: key.id, asserted, count: 0, use: true })
      return result
    } catch (error) {
      const code = error instanceof BoundaryError ? error.code : 'Internal'
      this.records.push({ outcome: 'failed', error: code, keyId: key.id, asserted, count: 0, use: true })
      throw error
    }
  }
}

/** An owner's key as its boundary makes it, of one version. */
function headerOf(id: string, account: string, state: KeyState, mayEncrypt: boolean, mayDecrypt: boolean): KeyHeader {
  return {
    id,
    account,
    revision: 1,
    rootGeneration: 1,
    fence: 1,
    createdAt: 1,
    spec: 'EXTERNAL_AES_256',
    usage: 'ENCRYPT_DECRYPT',
    origin: 'OWNER',
    manager: 'CUSTOMER',
    managerService: '',
    state,
    previousState: 'Enabled',
    deletionDate: 0,
    pendingWindowDays: 0,
    policyDigest: Buffer.alloc(32),
    rotationEnabled: false,
    rotationPeriodDays: 0,
    nextRotationAt: 0,
    onDemandRotations: 0,
    keyStoreId: '',
    xksKeyId: '',
    backing: 'SEALED',
    tokenObject: '',
    mayEncrypt,
    mayDecrypt,
    publicKey: Buffer.alloc(0),
    multiRegion: 'NONE',
    primaryRegion: '',
    replicaRegions: [],
    materials: [
      {
        id: '00000001',
        state: 'CURRENT',
        present: true,
        createdAt: 1,
        expirationModel: 'NONE',
        validTo: 0,
        description: '',
        rotationType: 'NONE',
        rotatedAt: 0,
      },
    ],
  }
}
