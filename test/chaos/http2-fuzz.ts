import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { fuzz } from './http2/fuzz.ts';

// node test/chaos/http2-fuzz.ts [--seed N] [--runs 2000]

const EX_USAGE = 64;

const { seed, runs } = readArguments();
const startedAt = performance.now();
try {
  await fuzz({ seed, runs });
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
  process.stdout.write(
    `seed ${seed}: ${runs} damaged conversations in ${seconds} s, and every call ended as it should\n`,
  );
} catch (error) {
  process.stdout.write(`seed ${seed}: FAILED\n${(error as Error).stack}\n`);
  const { cause } = error as Error;
  if (cause instanceof Error) process.stdout.write(`because of ${cause.stack}\n`);
  process.exitCode = 1;
}

function readArguments(): { seed: number; runs: number } {
  const names = { seed: { type: 'string' }, runs: { type: 'string' } } as const;
  try {
    const { values } = parseArgs({ options: names });
    return {
      seed: readCount('seed', values.seed ?? String(randomInt(1, 1_000_000)), 0),
      runs: readCount('runs', values.runs ?? '2000', 1),
    };
  } catch (error) {
    process.stderr.write(`http2-fuzz: ${(error as Error).message}\n`);
    process.exit(EX_USAGE);
  }
}

function readCount(name: string, text: string, least: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value < 2 ** 31) return value;
  throw new Error(`--${name} is "${text}", which is no whole number from ${least} to ${2 ** 31 - 1}`);
}
