import { existsSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { EX_UNAVAILABLE, StartupError } from '../src/shared/startup-error.ts';
import {
  type AreaReport,
  type Effort,
  type Measure,
  median,
  type Round,
  summarize,
  withoutLimits,
} from './support/report.ts';
import type { Stage } from './support/stage.ts';
import { CLIENTS } from './support/surroundings.ts';
import { compareWorkers, type WorkersEffort } from './workers/compare-workers.ts';

const RATIO_FLOOR = 1.3;
const RATIO_AIM = 1.6;

const FULL: WorkersEffort = { warmMs: 6_000, turns: 5, turnMs: 2_000, pacedMs: 4_000 };
const QUICK: WorkersEffort = { warmMs: 2_000, turns: 1, turnMs: 1_000, pacedMs: 1_000 };

const MEASURES: readonly Measure[] = [
  { name: 'perSecond', label: 'requests a second', unit: '/s', ratioFloor: RATIO_FLOOR },
  { name: 'cpuUs', label: 'CPU per request', unit: 'µs' },
  { name: 'p50Ms', label: 'p50 at the fixed rate', unit: 'ms' },
  { name: 'p99Ms', label: 'p99 at the fixed rate', unit: 'ms' },
  { name: 'idleMb', label: 'memory at first', unit: 'MB' },
  { name: 'busyMb', label: 'memory afterwards', unit: 'MB' },
];

/** One gateway of two processes, and one of one. */
export async function benchWorkers(
  stage: Stage,
  { rounds: roundCount, quick, alone = false }: Effort,
): Promise<AreaReport> {
  await assertHasWorkers(stage.productRoot);
  const effort = quick ? QUICK : FULL;
  const rounds: Round[] = [];
  for (let round = 1; round <= roundCount; round++) {
    const measured = await compareWorkers(stage, effort);
    rounds.push(measured);
    const said = Object.entries(measured).map(([name, { perSecond }]) => `${name} ${perSecond!.toFixed(0)}/s`);
    stage.say(`workers, round ${round} of ${roundCount}: ${said.join(', ')}`);
  }
  const read = (program: string, name: string) => median(rounds.map((round) => round[program]![name]!));
  const restUs = read('one', 'restUs');
  // All that two cores can do, next to what one process does when it has a core.
  const ceiling = (2 * read('one', 'cpuUs')) / (read('two', 'cpuUs') + read('two', 'restUs'));
  const measures = quick ? withoutLimits(MEASURES) : MEASURES;
  return {
    area: 'workers',
    title: `a GET by ${CLIENTS} clients with a hot cache, of a gateway with two workers and of one that is a single process`,
    subject: 'two workers',
    workload: { clients: CLIENTS, ...effort },
    rows: [
      ...summarize(rounds, measures, 'two', alone ? [] : ['one']),
      // For a comparison of two commits, which has no use for a ratio between the two.
      ...(alone ? summarize(rounds, labelled(MEASURES, 'one process'), 'one', []) : []),
    ],
    rounds,
    notes: [
      `Load and backend run on the same two cores: ${stage.sharing}. They took ${restUs.toFixed(0)} µs of CPU for a request. One process`,
      `has a core to itself, and they have the other; two workers share both with them, which allows ×${ceiling.toFixed(2)} at most. Aim: ×${RATIO_AIM}.`,
      `Others used ${read('one', 'othersCores').toFixed(1)} cores meanwhile, which is taken from two workers rather than from one.`,
      'The fixed rate is half of what one process answered at its peak in the same round.',
      'Memory: of all processes of the gateway, pages that they share counted once; before the first request, and at the end.',
    ],
  };
}

function labelled(measures: readonly Measure[], suffix: string): Measure[] {
  return withoutLimits(measures).map((measure) => ({ ...measure, label: `${measure.label}, ${suffix}` }));
}

/** Throws a StartupError: a gateway without the setting would ignore it. */
async function assertHasWorkers(root: string): Promise<void> {
  const file = path.join(root, 'src/gateway/config.ts');
  const { gatewaySettings } = existsSync(file) ? await import(pathToFileURL(file).href) : { gatewaySettings: {} };
  if (!('WORKERS' in gatewaySettings)) throw new StartupError('its gateway has no setting WORKERS', EX_UNAVAILABLE);
}
