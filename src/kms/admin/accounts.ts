/** Accounts: what keys and principals belong to. Each has a root principal from the start, without credentials. */
import { randomInt } from 'node:crypto'
import { type AdminControl, AdminError, allRows, change, currentRow } from '../../store/admin.ts'
import { ACCOUNT_ID, rootArn } from '../access/principal-names.ts'
import { readBody, writeBody } from '../access/rows.ts'

export interface Account {
  /** 12 digits. */
  readonly id: string
  readonly name: string
  /** Milliseconds since 1970. */
  readonly created: number
}

export interface CreateAccount {
  /** Made where it is left out. */
  readonly id?: string | undefined
  readonly name?: string | undefined
  readonly partition?: string | undefined
}

/** Throws `AdminError` where the id is malformed or taken. */
export function createAccount(control: AdminControl, input: CreateAccount): Promise<Account> {
  const { id: wanted, name = '', partition = 'aws' } = input
  if (wanted !== undefined && !ACCOUNT_ID.test(wanted)) {
    throw new AdminError(`An account id has 12 digits; ${JSON.stringify(wanted)} has not.`)
  }
  if (name.length > 128) throw new AdminError('An account name has at most 128 characters.')
  return change(control, 'CreateAccount', wanted ?? '', async () => {
    const id = wanted ?? (await freeId(control))
    if ((await currentRow(control, 'account', id)) !== undefined) {
      throw new AdminError(`The account ${id} exists already. See: holdfast kms account list`)
    }
    const created = Date.now()
    const root = rootArn(id, partition)
    const principal = writeBody({ v: 1, created, userId: id, tags: {}, policies: {}, credentials: {} })
    return {
      rows: [
        { kind: 'account', id, scope: id, link: '', expected: 0, body: writeBody({ v: 1, name, created }) },
        { kind: 'principal', id: root, scope: id, link: '', expected: 0, body: principal },
      ],
      result: { id, name, created },
    }
  })
}

async function freeId(control: AdminControl): Promise<string> {
  for (;;) {
    // Like AWS's, an id does not begin with 0, so that nothing that reads it as a number loses a digit.
    const id = `${randomInt(100_000, 1_000_000)}${String(randomInt(0, 1_000_000)).padStart(6, '0')}`
    if ((await currentRow(control, 'account', id)) === undefined) return id
  }
}

export async function listAccounts(control: AdminControl): Promise<Account[]> {
  const accounts: Account[] = []
  for await (const row of allRows(control, 'account')) {
    if (row.body === null) continue
    const { name, created } = readBody('account', row.body)
    accounts.push({ id: row.id, name, created })
  }
  return accounts
}

/** The account meant: the one given, or the only one there is. */
export async function accountOrOnly(control: AdminControl, id: string | undefined): Promise<string> {
  if (id !== undefined) {
    if (!ACCOUNT_ID.test(id)) throw new AdminError(`An account id has 12 digits; ${JSON.stringify(id)} has not.`)
    if ((await currentRow(control, 'account', id)) === undefined) throw noAccount(id)
    return id
  }
  const accounts = await listAccounts(control)
  const [only] = accounts
  if (only === undefined) throw new AdminError('There is no account yet. Make one: holdfast kms account create')
  if (accounts.length > 1) throw new AdminError('There are several accounts; say which one with --account ID.')
  return only.id
}

export function noAccount(id: string): AdminError {
  return new AdminError(`There is no account ${id}. Make it: holdfast kms account create ${id}`)
}
