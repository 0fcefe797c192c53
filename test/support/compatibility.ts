/** docs/compatibility.md: printed from what clients were seen to do, and from the list of what is known to be different. */
import { OPERATION_INPUTS } from '../../src/kms/wire/model/model.ts'
import { DIFFERENCES } from './differences.ts'

/** By client, the operations that it was answered for in a story that held. */
export type Seen = Readonly<Record<string, ReadonlySet<string>>>

/** Programs whose whole use was seen, with what they did. */
export const PROGRAMS: readonly (readonly [program: string, did: string])[] = [
  ['AWS Encryption SDK for JavaScript and for Python', 'each opens the other’s messages'],
  ['SOPS', 'encrypts a file by ARN, edits, rotates under two keys'],
  ['OpenTofu', 'encrypts state and plan'],
  ['Ansible, `amazon.aws.kms_key`', 'makes, changes, finds and removes a key'],
  ['sigstore’s KMS signer (Go)', 'makes its key, signs, verifies here and by the public key'],
  ['Tink (Go)', 'keeps a keyset under a key'],
  ['Go Cloud `secrets`', 'encrypts and decrypts by URL'],
  [
    'Terraform’s AWS provider',
    'its calls for keys, aliases, grants, external keys, replicas and key stores, in its order',
  ],
]

export function compatibilityPage(seen: Seen): string {
  const clients = Object.keys(seen)
  const operations = [...OPERATION_INPUTS.keys()].sort()
  const rows = operations.map(operation => {
    const marks = clients.map(client => (seen[client]?.has(operation) ? 'works' : '—'))
    const different = DIFFERENCES.filter(({ operations: concerned }) => concerned.includes(operation)).map(
      ({ number }) => `[${number}](#differences)`,
    )
    return `| ${operation} | ${marks.join(' | ')} | ${different.join(' ')} |`
  })
  return `# Compatibility with AWS KMS

This page is printed by \`test/clients/operations.test.ts\` from what it saw: each client is told one story in which every operation must do what it is for. It fails where this page says something else.

| operation | ${clients.join(' | ')} | differs |
| --- | ${clients.map(() => '---').join(' | ')} | --- |
${rows.join('\n')}

${operations.length} operations.

## Programs

Taken from package registries and pointed here by AWS’s own environment variables, nothing else (\`test/clients\`).

| program | what it is seen to do |
| --- | --- |
${PROGRAMS.map(([program, did]) => `| ${program} | ${did} |`).join('\n')}

## Differences

What is known to be different from AWS, and stays so or is not known better:

${DIFFERENCES.map(({ number, text }) => `${number}. ${text}`).join('\n')}
`
}
