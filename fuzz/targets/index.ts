import type { Target } from '../target.ts'
import { azure } from './azure.ts'
import { blobs } from './blobs.ts'
import { dke } from './dke.ts'
import { frames } from './frames.ts'
import { google } from './google.ts'
import { kacls } from './kacls.ts'
import { keySets } from './key-sets.ts'
import { kubernetes } from './kubernetes.ts'
import { paths } from './paths.ts'
import { policies } from './policies.ts'
import { records } from './records.ts'
import { tokens } from './tokens.ts'
import { xks } from './xks.ts'

/** One for each parser that a stranger, a provider or an issuer of tokens reaches. */
export const TARGETS = [
  ...[xks, azure, kubernetes, dke, kacls, google, tokens, keySets, paths, blobs, records, policies, frames],
] as readonly Target<unknown>[]
