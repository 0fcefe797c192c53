/** GenerateMac and VerifyMac (aws-kms.md §3.3). */
import type { MacAlgorithm } from '../../boundary/algorithms.ts'
import { refuseDryRun } from './common.ts'
import type { Call, FoundKey, Operation } from './types.ts'
import { keyOfUse } from './usage.ts'

interface Input {
  readonly KeyId: string
  readonly Message: Buffer
  readonly MacAlgorithm: MacAlgorithm
  readonly GrantTokens?: readonly string[]
  readonly DryRun?: boolean
}

const macKey = (call: Call, input: Input): Promise<FoundKey> =>
  keyOfUse(call, input, 'GENERATE_VERIFY_MAC', input.MacAlgorithm, { macAlgorithm: input.MacAlgorithm })

interface MacOutput {
  readonly Mac: Buffer
  readonly MacAlgorithm: MacAlgorithm
  readonly KeyId: string
}

export const GenerateMac: Operation<Input, MacOutput> = {
  name: 'GenerateMac',
  recordedBy: 'boundary',
  async run(call, input) {
    const { Message, MacAlgorithm } = input
    const key = await macKey(call, input)
    refuseDryRun(input.DryRun)
    const { mac } = await call.services.boundary.generateMac(key.row, MacAlgorithm, Message, call.asserted)
    return { Mac: mac, MacAlgorithm, KeyId: key.arn }
  },
  write: ({ Mac, MacAlgorithm, KeyId }) =>
    `{"Mac":"${Mac.toString('base64')}","MacAlgorithm":"${MacAlgorithm}","KeyId":"${KeyId}"}`,
}

/** A tag that is wrong is an error, with DryRun too. */
export const VerifyMac: Operation<Input & { readonly Mac: Buffer }, object> = {
  name: 'VerifyMac',
  recordedBy: 'boundary',
  async run(call, input) {
    const { Message, MacAlgorithm, Mac, DryRun = false } = input
    const key = await macKey(call, input)
    await call.services.boundary.verifyMac(key.row, MacAlgorithm, Message, Mac, DryRun, call.asserted)
    return { KeyId: key.arn, MacValid: true, MacAlgorithm }
  },
}
