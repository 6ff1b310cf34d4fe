import { randomInt } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { startExternalPostgres } from '../support/external-postgres.ts';
import { startTestObjectStore } from '../support/object-store.ts';
import { runOrchestrator } from './orchestrator/run.ts';

// npm run chaos:orchestrator -- [--seed N] [--workflows 200] [--seconds 110] [--logs folder]

const EX_USAGE = 64;
/** A run of fewer, or a shorter one, need not show everything. */
const FULL_WORKFLOWS = 200;
const FULL_SECONDS = 100;
/** So many failures are told; the rest is counted. */
const TOLD = 30;

const { seed, workflows, seconds, logs } = readArguments();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
const [postgres, objectStore] = await Promise.all([startExternalPostgres(), startTestObjectStore()]);
print(`seed ${seed}: ${workflows} workflows, faults for ${seconds} s, Postgres ${postgres.version} (${postgres.kind})`);
try {
  const showAll = workflows >= FULL_WORKFLOWS && seconds >= FULL_SECONDS;
  const report = await runOrchestrator({
    seed,
    workflows,
    seconds,
    small: false,
    showAll,
    postgres,
    objectStore,
    onLogs: keepLogs,
  });
  for (const line of report.lines) print(line);
  for (const failure of report.failures.slice(0, TOLD)) print(failure);
  if (report.failures.length > TOLD) print(`and ${report.failures.length - TOLD} more`);
  const good = report.failures.length === 0;
  const verdict = good ? 'all is right' : 'FAILED';
  print(`${(report.durationMs / 1_000).toFixed(1)} s: ${verdict} (seed ${seed})`);
  if (!good) process.exitCode = 1;
} finally {
  await Promise.all([postgres.close(), objectStore.close()]);
}

function keepLogs(texts: ReadonlyMap<string, string>): void {
  if (logs === undefined) return;
  mkdirSync(logs, { recursive: true });
  for (const [name, text] of texts) writeFileSync(path.join(logs, `${name.replace(' ', '-')}.log`), text);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function readArguments(): { seed: number; workflows: number; seconds: number; logs: string | undefined } {
  const options = {
    seed: { type: 'string' },
    workflows: { type: 'string' },
    seconds: { type: 'string' },
    logs: { type: 'string' },
  } as const;
  try {
    const { values } = parseArgs({ options });
    return {
      seed: readCount('seed', values.seed ?? String(randomInt(1, 1_000_000)), 0),
      workflows: readCount('workflows', values.workflows ?? String(FULL_WORKFLOWS), 1),
      seconds: readCount('seconds', values.seconds ?? '110', 1),
      logs: values.logs,
    };
  } catch (error) {
    process.stderr.write(`chaos:orchestrator: ${(error as Error).message}\n`);
    process.exit(EX_USAGE);
  }
}

function readCount(name: string, text: string, least: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value < 2 ** 32) return value;
  throw new Error(`--${name} is "${text}", which is no whole number from ${least} to ${2 ** 32 - 1}`);
}
