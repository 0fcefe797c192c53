/**
 * For unit tests: an owner's boundary and store in memory. Keys are sealed and used by the boundary's own formats; records are kept in a list, so
 * that a test can count them. It has no sockets, no disk and no isolation.
 */
import { createHmac, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import type { BoundaryUse, ExternalCiphertext, KeyRow, RecordEntry, RevokeTarget } from '../boundary/client/api.ts'
import { decryptExternal, encryptExternal, readExternalMetadata } from '../boundary/crypto/external.ts'
import { EXTERNAL_WRAPPINGS } from '../boundary/crypto/external-wrap.ts'
import { usePrivateKey } from '../boundary/crypto/private-key.ts'
import { HERE } from '../boundary/crypto/private-work.ts'
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
import type { CoreOptions } from './core.ts'
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
  readonly trips: { target: RevokeTarget; rule: string; evidence: string; asserted: Asserted }[] = []
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
      spec = 'EXTERNAL_AES_256',
    }: Partial<Pick<KeyHeader, 'state' | 'mayEncrypt' | 'mayDecrypt' | 'spec'>> = {},
  ): void {
    const id = keyRowId(tenant, keyId)
    const header = headerOf(id, tenant, state, mayEncrypt, mayDecrypt)
    const made = spec === 'EXTERNAL_AES_256' ? { privateKey: randomBytes(32), publicKey: Buffer.alloc(0) } : rsaPair()
    const { privateKey, publicKey } = made
    const signs = spec !== 'EXTERNAL_AES_256' && !mayEncrypt && !mayDecrypt
    const usage = signs ? 'SIGN_VERIFY' : 'ENCRYPT_DECRYPT'
    const body = sealKey(this.keyring, { ...header, spec, usage, publicKey }, new Map([['00000001', privateKey]]))
    this.put('key', id, tenant, body)
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

  readonly boundary: CoreOptions['boundary'] & Pick<BoundaryUse, 'selfTest' | 'status'> = {
    externalEncrypt: async (key, plaintext, aad, integrity, asserted) =>
      this.#use(key, asserted, 'mayEncrypt', material =>
        encryptExternal(material('00000001'), 1, plaintext, aad, integrity),
      ),
    externalDecrypt: async (key, ciphertext: ExternalCiphertext, aad, asserted) =>
      this.#use(key, asserted, 'mayDecrypt', material => {
        const version = readExternalMetadata(ciphertext.metadata) ?? 1
        return decryptExternal(material(version.toString(16).padStart(8, '0')), ciphertext, aad)
      }),
    externalWrap: async (key, algorithm, plaintext, asserted) =>
      this.#use(key, asserted, 'mayEncrypt', material => {
        const { rsa, wrap } = EXTERNAL_WRAPPINGS[algorithm]
        const half = material('00000001')
        return { wrapped: wrap(rsa ? createPublicKey(half) : half, plaintext), version: 1 }
      }),
    externalUnwrap: async (key, algorithm, wrapped, version, asserted) =>
      this.#use(key, asserted, 'mayDecrypt', material => {
        if (version > 1) throw new BoundaryError('InvalidCiphertext')
        return EXTERNAL_WRAPPINGS[algorithm].unwrap(material('00000001'), wrapped)
      }),
    externalDigest: async (key, ciphertext, aad, message, asserted) =>
      this.#use(key, asserted, 'mayDecrypt', material =>
        createHmac('sha256', decryptExternal(material('00000001'), ciphertext, aad))
          .update(message)
          .digest(),
      ),
    externalPrivateKey: async (key, ciphertext, aad, { spki, algorithm, message, label }, asserted) =>
      this.#use(key, asserted, 'mayDecrypt', material =>
        usePrivateKey(decryptExternal(material('00000001'), ciphertext, aad), spki, algorithm, message, label, HERE),
      ),
    sign: async (key, { message }, asserted) =>
      this.#use(key, asserted, undefined, material => ({ signature: sign('sha256', message, material('00000001')) })),
    trip: async (target, rule, evidence, asserted) => {
      this.trips.push({ target, rule, evidence, asserted })
    },
    awaitDecision: async () => {},
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
        maxEncryptions: 2 ** 31,
        renewAfter: 2 ** 30,
        warnings: [],
      }
    },
  }

  async #use<T>(
    key: KeyRow,
    asserted: Asserted,
    usage: 'mayEncrypt' | 'mayDecrypt' | undefined,
    run: (material: (id: string) => KeyObject) => T | Promise<T>,
  ): Promise<T> {
    if (this.broken) throw this.broken
    const current = this.rows.get(`key ${key.id}`)
    if (current?.revision !== key.revision) throw new BoundaryError('StaleKey', '', current)
    const opened = this.#opened.get(current) ?? openKey(this.keyring, current.body ?? Buffer.alloc(0))
    this.#opened.set(current, opened)
    try {
      if (opened.header.state === 'Revoked') throw new BoundaryError('KeyRevoked')
      if (usage === undefined ? opened.header.usage !== 'SIGN_VERIFY' : !opened.header[usage])
        throw new BoundaryError('InvalidKeyUsage')
      const result = await run(id => {
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

/** RSA_2048, as DER. */
const rsaPair = () =>
  generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'der' },
  })

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
