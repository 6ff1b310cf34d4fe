import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { startTestObjectStore } from '../support/object-store.ts';
import { startTestPostgres } from '../support/postgres.ts';
import type { Promised } from './accounts/evidence.ts';
import { runAccounts } from './accounts/run.ts';

// npm run chaos:accounts -- [--seed N] [--operations 500] [--seconds 15]

const EX_USAGE = 64;
/** A run of fewer need not show everything. */
const FULL_OPERATIONS = 500;

const { seed, operations, seconds } = readArguments();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
print(`seed ${seed}: ${operations} operations in ${seconds} s`);
const [postgres, objectStore] = await Promise.all([startTestPostgres(), startTestObjectStore()]);
await Promise.all([
  play('exact', await postgres.createDatabase(), 'an orchestrator with AcceptWorkflow', 'charged = accepted'),
  play('base', await postgres.createDatabase(), 'one without', 'charged ≥ accepted'),
]);
await Promise.all([postgres.close(), objectStore.close()]);

async function play(promise: Promised, databaseUrl: string, orchestrator: string, verdict: string): Promise<void> {
  const full = operations >= FULL_OPERATIONS;
  const report = await runAccounts({ seed, operations, seconds, promise, full, databaseUrl, objectStore });
  const counts = Object.entries(report.counts).map(([name, count]) => `${name} ${count}`);
  const good = report.failures.length === 0;
  print(
    `${orchestrator}, ${(report.durationMs / 1_000).toFixed(1)} s: ${counts.join(', ')}; ${good ? verdict : 'FAILED'}`,
  );
  for (const failure of report.failures) print(failure);
  if (!good) process.exitCode = 1;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function readArguments(): { seed: number; operations: number; seconds: number } {
  const names = { seed: { type: 'string' }, operations: { type: 'string' }, seconds: { type: 'string' } } as const;
  try {
    const { values } = parseArgs({ options: names });
    return {
      seed: readCount('seed', values.seed ?? String(randomInt(1, 1_000_000)), 0),
      operations: readCount('operations', values.operations ?? String(FULL_OPERATIONS), 1),
      seconds: readCount('seconds', values.seconds ?? '15', 1),
    };
  } catch (error) {
    process.stderr.write(`chaos:accounts: ${(error as Error).message}\n`);
    process.exit(EX_USAGE);
  }
}

function readCount(name: string, text: string, least: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value < 2 ** 32) return value;
  throw new Error(`--${name} is "${text}", which is no whole number from ${least} to ${2 ** 32 - 1}`);
}
