import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { runChaos } from './run.ts';

// npm run chaos:streams -- [--seed N] [--events 10000] [--clients 20]

const EX_USAGE = 64;
const DEADLINE_MS = 90_000;

const { seed, events, clients } = readArguments();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
const { failures, kills, connections, durationMs } = await runChaos({ seed, events, clients, deadlineMs: DEADLINE_MS });
const killed = Object.entries(kills).map(([kind, count]) => `${kind} ${count}`);
const verdict = failures.length === 0 ? `every client holds exactly 1..${events}` : 'FAILED';
process.stdout.write(
  `seed ${seed}: ${events} events, ${clients} clients, ${connections} streams opened, ${(durationMs / 1_000).toFixed(1)} s; killed: ${killed.join(', ')}; ${verdict}\n`,
);
for (const failure of failures) process.stdout.write(`${failure}\n`);
process.exitCode = failures.length === 0 ? 0 : 1;

function readArguments(): { seed: number; events: number; clients: number } {
  const names = { seed: { type: 'string' }, events: { type: 'string' }, clients: { type: 'string' } } as const;
  try {
    const { values } = parseArgs({ options: names });
    return {
      seed: readCount('seed', values.seed ?? String(randomInt(1, 1_000_000)), 0),
      events: readCount('events', values.events ?? '10000', 1),
      clients: readCount('clients', values.clients ?? '20', 1),
    };
  } catch (error) {
    process.stderr.write(`chaos:streams: ${(error as Error).message}\n`);
    process.exit(EX_USAGE);
  }
}

function readCount(name: string, text: string, least: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value < 2 ** 32) return value;
  throw new Error(`--${name} is "${text}", which is no whole number from ${least} to ${2 ** 32 - 1}`);
}
