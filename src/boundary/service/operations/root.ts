/** The root on the control socket: its rotation, with another root of trust where one is named, and what it is. */
import type { InputOf, OutputOf } from '../../client/protocol/operations.ts'
import type { RootOfTrust } from '../../root/types.ts'
import { baseFields, type Call, type Core, refuse } from '../core.ts'
import { leavesNoKeyBehind, type OpenedTrust, openTrust } from '../rotation/trust.ts'

/** `trust`: what wraps the sealing roots from now on; without it what has wrapped them so far. */
export const beginRotation = (
  core: Core,
  input: { readonly trust?: RootOfTrust | undefined },
  call: Call,
): Promise<void> => core.rotation.begin(core, input, call)

/** Brings another root of trust into force, and lets go of the token that the one before was in. */
export async function changeTrust(core: Core, next: OpenedTrust, call: Call): Promise<void> {
  await beginRotation(core, { trust: next.trust }, call)
  const before = core.tokens.get('')
  if (next.token === undefined) core.tokens.delete('')
  else core.tokens.set('', next.token)
  core.rootObjectId = next.rootObjectId
  await before?.close()
}

export async function rotateRoot(core: Core, { trust: wanted }: InputOf<'rotateRoot'>, call: Call): Promise<void> {
  if (wanted === undefined) return beginRotation(core, {}, call)
  const fields = {
    ...baseFields(core, 'changeRoot', call, undefined),
    transition: `${core.root.file.kind}>${wanted.kind}`,
  }
  const next = await leavesNoKeyBehind(core)
    .then(() => openTrust(wanted, core.onRootToken))
    .catch(error => {
      if (wanted.kind === 'passphrase') wanted.passphrase.fill(0)
      return refuse(core, fields, error)
    })
  try {
    await changeTrust(core, next, call)
  } catch (error) {
    await next.token?.close()
    throw error
  }
}

export const rootStatus = (core: Core): Promise<OutputOf<'rootStatus'>> => Promise.resolve(core.rotation.status(core))
