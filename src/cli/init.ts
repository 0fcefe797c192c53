/** `holdfast init`: sets a service up. */
import type { Command } from 'commander'
import { world } from './admin-tools.ts'
import { registerEkmInit } from './ekm-init.ts'
import { registerKmsInit } from './kms-init.ts'

/** Adds `holdfast init`. */
export function registerInit(program: Command): void {
  const init = program
    .command('init')
    .description('set a service up: configuration, certificates, root of trust, first principal')
  registerKmsInit(init, world)
  registerEkmInit(init, 'ekm', 'holdfast init ekm', world)
}
