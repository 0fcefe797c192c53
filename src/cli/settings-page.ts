/** A page of the documentation with every setting of a service, as the program has them. */
import type { ekmConfig } from '../config/ekm.ts'
import { settings } from '../config/tree.ts'
import { formOf, neededOf } from './check-config.ts'

export function settingsPage({ service, schema, environment }: typeof ekmConfig): string {
  const rows = settings(schema).map(setting => {
    const { path, type, description } = setting
    if (type === 'section') return `| \`${path}\` | | | ${description} |`
    return `| \`${path}\` | ${formOf(setting).replaceAll(' | ', ', ')} | ${neededOf(setting)} | ${description} |`
  })
  const variables = Object.entries(environment).map(([variable, path]) => `| \`${variable}\` | \`${path}\` |`)
  return `# Every setting of \`holdfast ${service}\`

\`./bin/holdfast check-config --service ${service} --settings\` prints the same list. Names that end in \`Ms\` are milliseconds, in \`Seconds\` seconds, in \`Bytes\` (and \`bytes\`) bytes.

| setting | form | default | meaning |
| --- | --- | --- | --- |
${rows.join('\n')}

Variables of the environment that override the file:

| variable | setting |
| --- | --- |
${variables.join('\n')}
`
}
