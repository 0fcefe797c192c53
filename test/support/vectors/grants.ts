/** Vectors of grant tokens. */
import { writeGrantToken } from '../../../src/kms/access/grant-tokens.ts'
import { fixed, hex, KEY_ID, MULTI_REGION, type VectorFile } from './source.ts'

export function grants(): VectorFile {
  return {
    vectors: [`eu-central-1/${KEY_ID}`, `us-east-1/${MULTI_REGION}`].map((key, at) => {
      const rowId = `${key}#${hex(fixed(`grant ${at}`, 32))}`
      const secret = hex(fixed(`grant secret ${at}`, 16))
      const salt = fixed(`grant salt ${at}`, 16)
      const token = Buffer.from(writeGrantToken(rowId, secret, salt), 'base64')
      return { rowId, secret, salt: hex(salt), token: hex(token) }
    }),
  }
}
