/**
 * Where the material of a key is in a token, as a material's description has it (docs/formats/sealed-key.md):
 * `[token=NAME ][opens=SCHEME ]id:HEX` or `… label:TEXT`. Words before the object come in this order, each at most once.
 */
import type { ObjectRef } from '../../pkcs11/types.ts'
import { BoundaryError } from '../../words.ts'

/** Forms of other key managers that an object may open besides its own, and never makes. See docs/formats/external.md. */
export const FOREIGN_SCHEMES = ['aws-xks-proxy'] as const
export type ForeignScheme = (typeof FOREIGN_SCHEMES)[number]

export interface Place {
  /** The token's name in the configuration; empty for that of the root of trust. */
  readonly token: string
  readonly opens: ForeignScheme | undefined
  readonly object: ObjectRef
}

/** What whoever makes a key names: the object is undefined where a new one is to be made. */
export interface WantedPlace {
  readonly token: string
  readonly opens: ForeignScheme | undefined
  readonly object: ObjectRef | undefined
}

export const TOKEN_NAME = /^[a-z][a-z0-9-]{0,31}$/
const FORM =
  /^(?:token=(?<token>[a-z][a-z0-9-]{0,31})(?: |$))?(?:opens=(?<opens>[a-z0-9-]+)(?: |$))?(?<object>id:(?:[0-9a-f]{2}){1,255}|label:.{1,255})?$/s

/** Throws InvalidRequest for what is in no such form. */
export function readWantedPlace(text: string): WantedPlace {
  const { token = '', opens, object } = FORM.exec(text)?.groups ?? fail()
  const scheme = FOREIGN_SCHEMES.find(known => known === opens)
  if (scheme !== opens) fail()
  return { token, opens: scheme, object: object as ObjectRef | undefined }
}

export function readPlace(text: string): Place {
  const { object, ...where } = readWantedPlace(text)
  return { ...where, object: object ?? fail() }
}

export function writePlace({ token, opens, object }: Place): string {
  return `${token === '' ? '' : `token=${token} `}${opens === undefined ? '' : `opens=${opens} `}${object}`
}

function fail(): never {
  throw new BoundaryError(
    'InvalidRequest',
    'a token object is named id:<hex> or label:<text>, with token=<name> and opens=<scheme> before it',
  )
}
