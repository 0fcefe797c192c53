/** Writes docs/ekm-settings.md: every setting of `holdfast ekm`, as the program has it. Run it when a setting has changed. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { settingsPage } from '../src/cli/settings-page.ts'
import { ekmConfig } from '../src/config/ekm.ts'

writeFileSync(join(import.meta.dirname, '..', 'docs', 'ekm-settings.md'), settingsPage(ekmConfig))
