/** Writes test/vectors/*.json from the code. Run it after a format was given a new version; the old version's vectors stay. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeVectors, vectorText } from '../test/support/vectors/make.ts'
import { VECTOR_FOLDER } from '../test/support/vectors/source.ts'

for (const [name, file] of Object.entries(await makeVectors()))
  writeFileSync(join(VECTOR_FOLDER, `${name}.json`), vectorText(file))
