/** Which operation of the control socket is which step of a ceremony. */
import type { InputOf, OperationName, OutputOf } from '../../client/protocol/operations.ts'
import type { Call } from '../core.ts'
import type { Ceremonies } from './ceremonies.ts'

export type CeremonyOperation = 'giveShare' | 'ceremony' | 'cancelCeremony' | 'splitRoot' | 'takeShare' | 'confirmShare'

type Step<N extends OperationName> = (ceremonies: Ceremonies, input: InputOf<N>, call: Call) => Promise<OutputOf<N>>

const STEPS: { readonly [N in CeremonyOperation]: Step<N> } = {
  giveShare: (ceremonies, input) => ceremonies.giveShare(input),
  ceremony: async ceremonies => ceremonies.status(),
  cancelCeremony: (ceremonies, input, call) => ceremonies.cancel(input, call),
  splitRoot: (ceremonies, input) => ceremonies.splitRoot(input),
  takeShare: (ceremonies, input) => ceremonies.takeShare(input),
  confirmShare: (ceremonies, input, call) => ceremonies.confirmShare(input, call),
}

/** The step that this operation is, or undefined. */
export const stepOf = <N extends OperationName>(name: N): Step<N> | undefined =>
  (STEPS as Partial<Record<OperationName, unknown>>)[name] as Step<N> | undefined
