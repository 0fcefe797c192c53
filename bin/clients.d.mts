/** See clients.mjs. */
export const clients: Readonly<Record<'python' | 'go' | 'kubernetes' | 'manifests' | 'tofu', { readonly folder: string }>>
export function installClients(): void
