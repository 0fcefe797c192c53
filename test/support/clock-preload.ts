/**
 * Put before a supervisor by `clock.ts`: its children get a clock that the test moves. The boundary's own environment leaves LD_PRELOAD out, and rightly; this
 * adds it behind the product's back, in the supervisor of a test alone.
 */
import childProcess, { type SpawnOptions } from 'node:child_process'
import { syncBuiltinESMExports } from 'node:module'

const { HOLDFAST_TEST_CLOCK: file, HOLDFAST_TEST_LIBRARY: library } = process.env
const spawn = childProcess.spawn
const withClock = (command: string, args: readonly string[], options: SpawnOptions) =>
  spawn(command, args, {
    ...options,
    env: {
      ...options.env,
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: file,
      // Read anew at each look at the clock; what measures time that has passed goes on as it is.
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    },
  })
Object.assign(childProcess, { spawn: withClock })
syncBuiltinESMExports()
