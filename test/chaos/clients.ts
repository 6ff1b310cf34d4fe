import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { ATTACKS } from './clients/attacks.ts';
import { formatHead, formatPhase } from './clients/report.ts';
import { runClients } from './clients/run.ts';

// npm run chaos:clients -- [--seed N] [--seconds 12] [--only slow-headers,malformed] [--preferred]

const EX_USAGE = 64;
const EX_OSERR = 71;

const { seed, seconds, only, preferred } = readArguments();
if (process.platform !== 'linux') {
  process.stderr.write('chaos:clients: only Linux has all of 127.0.0.0/8, which the attacks come from, and /proc\n');
  process.exit(EX_OSERR);
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
const { failures, reports } = await runClients({
  seed,
  seconds,
  only,
  preferred,
  onStart({ pinning }) {
    print(`seed ${seed}: ${only?.length ?? Object.keys(ATTACKS).length} attacks of ${seconds} s each; ${pinning}`);
    print(formatHead());
  },
  onPhase: (report, faults) => print(formatPhase(report, faults)),
});
const names = new Set(failures.map((failure) => failure.slice(0, failure.indexOf(':'))));
print(
  names.size === 0
    ? `seed ${seed}: all ${reports.length} phases are good`
    : `seed ${seed}: FAILED in ${[...names].join(', ')}`,
);
process.exitCode = failures.length === 0 ? 0 : 1;

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function readArguments() {
  const names = {
    seed: { type: 'string' },
    seconds: { type: 'string' },
    only: { type: 'string' },
    preferred: { type: 'boolean' },
  } as const;
  try {
    const { values } = parseArgs({ options: names });
    return {
      seed: readCount('seed', values.seed ?? String(randomInt(1, 1_000_000)), 0),
      seconds: readCount('seconds', values.seconds ?? '12', 1),
      only: values.only?.split(',').map(readAttack),
      preferred: values.preferred ?? false,
    };
  } catch (error) {
    process.stderr.write(`chaos:clients: ${(error as Error).message}\n`);
    process.exit(EX_USAGE);
  }
}

function readAttack(name: string): string {
  if (Object.hasOwn(ATTACKS, name)) return name;
  throw new Error(`--only has "${name}"; there are ${Object.keys(ATTACKS).join(', ')}`);
}

function readCount(name: string, text: string, least: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value < 2 ** 32) return value;
  throw new Error(`--${name} is "${text}", which is no whole number from ${least} to ${2 ** 32 - 1}`);
}
