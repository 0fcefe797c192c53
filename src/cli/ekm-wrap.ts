/** `holdfast ekm wrap-for-import`: key material of the owner for a provider's import (BYOK), wrapped in the owner's boundary. */
import { type Command, Option } from 'commander'
import type { WrappingAlgorithm } from '../boundary/client/api.ts'
import * as admin from '../ekm/admin/index.ts'
import { type Common, readInput } from './admin-tools.ts'
import { newFile, type Tools } from './ekm-tools.ts'

const ALGORITHMS: Readonly<Record<string, WrappingAlgorithm>> = {
  RSAES_OAEP_SHA_256: 'RSAES_OAEP_SHA_256',
  RSAES_OAEP_SHA_1: 'RSAES_OAEP_SHA_1',
}

const HELP = `
Example, with the AWS CLI on the provider's side:
  aws kms create-key --origin EXTERNAL
  aws kms get-parameters-for-import --key-id KEY --wrapping-algorithm RSAES_OAEP_SHA_256 --wrapping-key-spec RSA_4096 \\
    --query '[PublicKey,ImportToken]' --output text > parameters
  cut -f 1 parameters > wrapping-key.b64
  cut -f 2 parameters | base64 -d > import-token
  holdfast ekm wrap-for-import --public-key wrapping-key.b64 --keep-as customers/acme/backup --out wrapped.bin
  aws kms import-key-material --key-id KEY --import-token fileb://import-token --encrypted-key-material fileb://wrapped.bin \\
    --expiration-model KEY_MATERIAL_DOES_NOT_EXPIRE

Parameters are good for 24 hours. When the provider has lost the material, ask for new ones, and wrap what was kept: --from customers/acme/backup.
`

interface WrapOptions extends Common {
  readonly publicKey: string
  readonly algorithm: string
  readonly material?: string
  readonly keepAs?: string
  readonly from?: string
  readonly out: string
}

/** Adds the command. */
export function registerWrap(ekm: Command, { run, common, print, note }: Tools): void {
  common(ekm, 'wrap-for-import', 'make or take key material and wrap it for the import parameters of a provider')
    .requiredOption('--public-key <file>', 'the wrapping key that GetParametersForImport answered (DER, PEM or Base64)')
    .addOption(
      new Option('--algorithm <name>', 'wrapping algorithm')
        .choices(Object.keys(ALGORITHMS))
        .default('RSAES_OAEP_SHA_256'),
    )
    .option('--material <file>', 'wrap these 32 bytes instead of new ones')
    .option('--keep-as <tenant/key>', 'also keep the material here, as an external key')
    .option('--from <key>', 'wrap the current material of a key that is kept here')
    .requiredOption('--out <file>', 'where to write the wrapped material, for ImportKeyMaterial')
    .addHelpText('after', HELP)
    .action((options: WrapOptions) =>
      run(options, async control => {
        const material = options.material === undefined ? undefined : readInput(options.material)
        // Made before the key is: with --keep-as there is only one such answer.
        const out = newFile(options.out)
        try {
          const { wrapped, fingerprint } = await admin.wrapForImport(control, {
            publicKey: readInput(options.publicKey),
            algorithm: ALGORITHMS[options.algorithm] ?? 'RSAES_OAEP_SHA_256',
            material,
            keepAs: options.keepAs,
            from: options.from,
          })
          out.write(wrapped)
          const shown = { out: options.out, bytes: wrapped.length, fingerprint: fingerprint.toString('hex') }
          const kept = options.keepAs === undefined ? '' : `\nThe same material is kept here as ${options.keepAs}.`
          print(
            options,
            { ...shown, keptAs: options.keepAs },
            `Wrapped into ${options.out}; fingerprint of the material ${shown.fingerprint}${kept}`,
          )
          if (material === undefined && options.keepAs === undefined && options.from === undefined)
            note('The new material is kept nowhere here: what the provider loses is lost. --keep-as keeps it.')
        } catch (error) {
          out.remove()
          throw error
        } finally {
          material?.fill(0)
        }
      }),
    )
}
