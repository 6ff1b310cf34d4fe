import { randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { startScene } from './chaos/upstreams/scene.ts';
import { runSoak } from './soak/run.ts';

// npm run soak -- [--minutes 20] [--seed N] [--scale 12] [--busy]

const EX_USAGE = 64;

const { seed, minutes, scale, isBusy } = readArguments();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
print(`seed ${seed}: ${minutes} minutes, ${scale} times the least load`);
const hasPages = existsSync(new URL('../dist/pages/', import.meta.url));
if (!hasPages) print('no pages were built, so none are asked for: npm run build:pages');
const scene = await startScene({ gatewaySettings: { CONSOLE_ENABLED: String(hasPages) } });
const soak = runSoak(scene, { seed, seconds: minutes * 60, scale, hasPages, isBusy, onLine: print });
const failures = await soak.finally(scene.close);
for (const failure of failures) print(failure);
print(
  `${failures.length === 0 ? 'nothing grew, and all is right' : `FAILED: ${failures.length} bounds`} (seed ${seed})`,
);
process.exitCode = failures.length === 0 ? 0 : 1;

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function readArguments(): { seed: number; minutes: number; scale: number; isBusy: boolean } {
  const names = {
    seed: { type: 'string' },
    minutes: { type: 'string' },
    scale: { type: 'string' },
    busy: { type: 'boolean' },
  } as const;
  try {
    const { values } = parseArgs({ options: names });
    return {
      isBusy: values.busy ?? false,
      seed: readNumber('seed', values.seed ?? String(randomInt(1, 1_000_000)), 0, 2 ** 32 - 1),
      minutes: readNumber('minutes', values.minutes ?? '20', 0.1, 100_000),
      scale: readNumber('scale', values.scale ?? '12', 0.1, 1_000),
    };
  } catch (error) {
    process.stderr.write(`soak: ${(error as Error).message}\n`);
    process.exit(EX_USAGE);
  }
}

function readNumber(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && value >= least && value <= most) return value;
  throw new Error(`--${name} is "${text}", which is no number from ${least} to ${most}`);
}
