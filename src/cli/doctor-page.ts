/** docs/doctor.md: all that `holdfast doctor` can find, as the program has it. */
import { FINDINGS } from '../setup/doctor/findings.ts'

export function doctorPage(): string {
  const rows = Object.entries(FINDINGS).map(
    ([name, { check, level, advice }]) => `| ${check} | \`${name}\` | ${level} | ${advice.replaceAll('|', '\\|')} |`,
  )
  return `# What the doctor finds

\`\`\`bash
./bin/holdfast doctor --config /etc/holdfast/kms.yaml --backup /mnt/backups/kms
\`\`\`

looks at a service of either kind on this machine, running or not, from inside: what is wrong with it, and what to do. (How a cloud sees a key manager from outside: \`holdfast ekm doctor\`, docs/xks.md.) Run it as root or as the user of the boundary; others see less. It changes nothing, logs in to no
token, asks for no passphrase and tells no secret. A log of more than 64 MiB is verified by its newest segment, unless \`--full\` asks for all of it.

With \`--json\` it prints a list of objects with \`name\`, \`check\`, \`level\`, \`seen\` and \`advice\`. The exit code is 1 where there is a problem, and 0 with warnings at most: \`holdfast doctor … || page somebody\` is what a timer needs. Each of these is provoked in test/doctor.test.ts:

- **ok**: as it should be;
- **note**: worth knowing, nothing is wrong;
- **warning**: works, and will hurt one day, or protects less than it could;
- **problem**: broken, or unsafe.

| looked at | finding | level | what to do |
| --- | --- | --- | --- |
${rows.join('\n')}

Words in braces are filled in. \`node scripts/print-cli.ts\` writes this page.
`
}
