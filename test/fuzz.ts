import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { KINDS, type Kind } from './fuzz/exchange.ts';
import { type Finding, fuzz } from './fuzz/fuzz.ts';
import { OVERS, type Over } from './fuzz/open-socket.ts';
import { createTally } from './fuzz/tally.ts';
import { startSmallWorld, startWholeWorld } from './fuzz/world.ts';

// npm run fuzz -- [--over http1|tls|h2] [--kind valid|near|raw|held|all] [--runs 20000] [--seed N] [--stack]
// npm run fuzz -- --kind near --seed N --replay PATH     the smallest run of a finding, once more

const EX_USAGE = 64;
/** Held connections last for seconds each, so there are fewer of them. */
const HELD_SHARE = 20;

const { over, kinds, runs, seed, replay, stack } = readArguments();
const world = await (stack ? startWholeWorld(over) : startSmallWorld(over));
const tally = createTally();
const findings: (Finding & { kind: Kind })[] = [];
try {
  for (const kind of kinds) {
    const size = kind === 'held' ? Math.ceil(runs / HELD_SHARE) : runs;
    const found = await fuzz(world, { kind, seed, runs: size, path: replay }, tally);
    if (found) findings.push({ kind, ...found });
  }
} finally {
  await world.close();
}
for (const { kind, path, message } of findings) {
  process.stdout.write(
    `\nFOUND by --over ${over} --kind ${kind} --seed ${seed}${path === undefined ? '' : ` --replay ${path}`}${stack ? ' --stack' : ''}\n${message}\n`,
  );
}
process.stdout.write(
  `\nseed ${seed} over ${over}\n${tally.table()}\n${findings.length === 0 ? 'nothing was found' : ''}\n`,
);
process.exitCode = findings.length === 0 ? 0 : 1;

function readArguments() {
  const options = {
    over: { type: 'string', default: 'http1' },
    kind: { type: 'string', default: 'all' },
    runs: { type: 'string', default: '20000' },
    seed: { type: 'string', default: String(randomInt(1, 1_000_000)) },
    replay: { type: 'string' },
    stack: { type: 'boolean', default: false },
  } as const;
  try {
    const { values } = parseArgs({ options });
    const { over, kind, replay: path, stack: isStack } = values;
    if (!OVERS.includes(over as Over)) throw new Error(`--over is "${over}", which is none of ${OVERS.join(', ')}`);
    if (kind !== 'all' && !KINDS.includes(kind as Kind)) throw new Error(`--kind is "${kind}", which is no kind`);
    if (path !== undefined && kind === 'all') throw new Error('--replay needs the --kind that it is of');
    return {
      over: over as Over,
      kinds: kind === 'all' ? KINDS : [kind as Kind],
      runs: readCount('runs', values.runs, 1),
      seed: readCount('seed', values.seed, 0),
      replay: path,
      stack: isStack,
    };
  } catch (error) {
    process.stderr.write(`fuzz: ${(error as Error).message}\n`);
    process.exit(EX_USAGE);
  }
}

function readCount(name: string, text: string, least: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value < 2 ** 31) return value;
  throw new Error(`--${name} is "${text}", which is no whole number from ${least} to ${2 ** 31 - 1}`);
}
