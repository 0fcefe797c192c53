/** The protocols that this key manager speaks, in the order in which they are started. */
import { azure } from './azure/start.ts'
import { dke } from './dke/start.ts'
import { google } from './google/start.ts'
import { kacls } from './kacls/start.ts'
import { kubernetes } from './kubernetes/start.ts'
import type { Protocol } from './types.ts'
import { xks } from './xks/start.ts'

export const PROTOCOLS: readonly Protocol[] = [xks, azure, kubernetes, dke, kacls, google]
