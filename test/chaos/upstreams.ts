import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { FAULTS, type Fault } from './upstreams/faults.ts';
import { runUpstreams } from './upstreams/run.ts';
import { startScene } from './upstreams/scene.ts';

// npm run chaos:upstreams -- [--rounds 2] [--seed N] [--only store,database] [--busy]

const EX_USAGE = 64;

const { seed, rounds, faults, isBusy } = readArguments();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
print(`seed ${seed}: ${rounds} rounds of ${faults.length} faults`);
const scene = await startScene();
const report = runUpstreams(scene, { seed, rounds, faults, isBusy, onProgress: print });
const { failures, lines, durationMs } = await report.finally(scene.close);
for (const line of [...lines, ...failures]) print(line);
const verdict = failures.length === 0 ? 'all is right' : `FAILED: ${failures.length} bounds`;
print(`${(durationMs / 1_000).toFixed(1)} s: ${verdict} (seed ${seed})`);
process.exitCode = failures.length === 0 ? 0 : 1;

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function readArguments(): { seed: number; rounds: number; faults: readonly Fault[]; isBusy: boolean } {
  const names = {
    seed: { type: 'string' },
    rounds: { type: 'string' },
    only: { type: 'string' },
    busy: { type: 'boolean' },
  } as const;
  try {
    const { values } = parseArgs({ options: names });
    return {
      seed: readCount('seed', values.seed ?? String(randomInt(1, 1_000_000)), 0),
      rounds: readCount('rounds', values.rounds ?? '2', 1),
      isBusy: values.busy ?? false,
      faults: values.only === undefined ? FAULTS : findFaults(values.only),
    };
  } catch (error) {
    process.stderr.write(`chaos:upstreams: ${(error as Error).message}\n`);
    process.exit(EX_USAGE);
  }
}

/** Those whose names begin with one of the words. */
function findFaults(only: string): readonly Fault[] {
  const words = only.split(',').map((word) => word.trim());
  const found = FAULTS.filter(({ name }) => words.some((word) => name.startsWith(word)));
  if (found.length > 0) return found;
  throw new Error(`--only is "${only}", but the faults are ${FAULTS.map(({ name }) => name).join(', ')}`);
}

function readCount(name: string, text: string, least: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value < 2 ** 32) return value;
  throw new Error(`--${name} is "${text}", which is no whole number from ${least} to ${2 ** 32 - 1}`);
}
