import { EX_UNAVAILABLE, StartupError } from '../src/shared/startup-error.ts';
import type { AskEffort, Times } from './growth/ask-in-turns.ts';
import { QUESTIONS } from './growth/questions.ts';
import type { Prepare, Prepared } from './growth/tables.ts';
import { type AreaReport, type Effort, type Measure, type Round, summarize, withoutLimits } from './support/report.ts';
import type { Stage } from './support/stage.ts';

/** What a question may take on large tables of what it takes on small ones. */
const RATIO_LIMIT = 2;

const FULL: Prepare & AskEffort = {
  ...{ small: 1_000, large: 1_000_000, eventsEach: 10 },
  ...{ warmAsks: 20, asks: 300, boundMs: 10_000 },
};
const QUICK: Prepare & AskEffort = { ...FULL, large: 50_000, warmAsks: 5, asks: 50, boundMs: 3_000 };
const PREPARE_BOUND_MS = 3600 * 1000;
const ASK_BOUND_MS = 600 * 1000;

const MEASURES: readonly Measure[] = [
  ...QUESTIONS.map(({ name, label }) => ({
    ...{ name: `${name}P50Ms`, label: `${label}, p50`, unit: 'ms' },
    ratioLimit: RATIO_LIMIT,
  })),
  ...QUESTIONS.map(({ name, label }) => ({ name: `${name}P99Ms`, label: `${label}, p99`, unit: 'ms' })),
];

/** What callers wait for when there are a thousand workflows, and when there are very many. */
export async function benchGrowth(
  stage: Stage,
  { rounds: roundCount, quick, alone = false }: Effort,
): Promise<AreaReport> {
  if (alone)
    throw new StartupError('it is measured inside this program, so there is no other to compare', EX_UNAVAILABLE);
  const { small, large, eventsEach, ...effort } = quick ? QUICK : FULL;
  const tables = stage.start('bench/growth/tables.ts', { place: 'both', args: [`${stage.makeFolder()}/postgres`] });
  stage.say(`growth: filling a database with ${large} workflows, which takes a while`);
  const prepare = { small, large, eventsEach };
  const prepared = await tables.ask<Prepared>({ prepare }, PREPARE_BOUND_MS);
  const { version, steps, events, gigabytes, fillSeconds } = prepared;
  stage.say(`growth: ${steps} steps, ${events} events, ${gigabytes.toFixed(1)} GB in ${fillSeconds.toFixed(0)} s`);
  const rounds: Round[] = [];
  const readOthers = stage.watchOthers();
  for (let round = 1; round <= roundCount; round++) {
    const times = await tables.ask<Record<'small' | 'large', Times>>({ ask: effort }, ASK_BOUND_MS);
    rounds.push(times);
    const ratios = QUESTIONS.map(({ name }) => times.large[`${name}P50Ms`]! / times.small[`${name}P50Ms`]!);
    stage.say(`growth, round ${round} of ${roundCount}: ratios up to ${Math.max(...ratios).toFixed(2)}`);
  }
  const othersCores = readOthers();
  await tables.stop();
  return {
    area: 'growth',
    title: `${large} workflows and ${events} events in the tables, compared with ${small} workflows`,
    subject: 'large',
    workload: { small, large, steps, events, ...effort },
    rows: summarize(rounds, quick ? withoutLimits(MEASURES) : MEASURES, 'large', ['small']),
    rounds,
    notes: [
      `Postgres ${version} with its default settings, the embedded one; the large database has ${gigabytes.toFixed(1)} GB and was filled`,
      `with COPY in ${fillSeconds.toFixed(0)} s. Both are asked in turns by the program's own functions, without the network: the lists as`,
      'they come to a caller, a submission up to its commit, a replay up to the last event read. Pages hold 20, or 3 where a',
      'thousand workflows have no more. The limit is on the medians; with so few asks the p99 is about the others on the machine,',
      `who used ${othersCores.toFixed(1)} cores meanwhile. All on the same cores: ${stage.sharing}.`,
    ],
  };
}
