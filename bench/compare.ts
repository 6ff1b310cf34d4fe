import { EX_UNAVAILABLE, StartupError } from '../src/shared/startup-error.ts';
import {
  type Area,
  type AreaReport,
  type Effort,
  type Measure,
  type Round,
  type Row,
  summarize,
} from './support/report.ts';
import type { Stage } from './support/stage.ts';
import type { Turns } from './support/turns.ts';

const NOW = 'now';
/** So many of its digits name a commit in a table. */
export const SHORT_COMMIT = 10;

/** Where the product of this checkout is started and where that of the other one, which take turns. */
export interface Stages {
  readonly now: Stage;
  readonly other: Stage;
  readonly turns: Turns;
}

type Numbers = Record<string, number>;

/**
 * Measures an area of the product as it is here, changes that are not committed included, and of another commit, in turns,
 * both with the benchmark as it is here. Throws a StartupError when the other commit cannot be measured so.
 */
export async function compareArea(area: Area, stages: Stages, commit: string, effort: Effort): Promise<AreaReport> {
  const other = commit.slice(0, SHORT_COMMIT);
  const [now, before] = await measureBoth(area, stages, other, { ...effort, alone: true });
  const rounds = now.rounds.map((_, index) => ({ [NOW]: readRound(now, index), [other]: readRound(before, index) }));
  return {
    area: `compare-${now.area}`,
    title: `${now.title}; as it is here, compared with ${commit}`,
    subject: NOW,
    workload: now.workload,
    rows: summarize(rounds, findMeasures(now.rows.map(measureOf), rounds), NOW, [other]),
    rounds,
    notes: [
      'Both are measured by the benchmark as it is here, in turns on the same cores. The peers and the checks are left out.',
      ...now.notes,
    ],
  };
}

async function measureBoth(area: Area, { now, other, turns }: Stages, name: string, effort: Effort) {
  const ours = area(now, effort);
  const theirs = area(other, effort).catch((error: Error) => {
    throw new StartupError(`${name} cannot run it: ${error.message}`, EX_UNAVAILABLE, { cause: error });
  });
  try {
    return await Promise.all([ours, theirs]);
  } catch (error) {
    // The one who is left must not go on into the next area.
    turns.stop(error as Error);
    await Promise.all([now.clear(), other.clear()]);
    await Promise.allSettled([ours, theirs]);
    turns.resume();
    throw error;
  }
}

/** A name that no other row has: of several programs the same is measured. */
function nameOf({ program, name }: Row): string {
  return `${program} ${name}`;
}

function measureOf(row: Row): Measure {
  return { name: nameOf(row), label: row.label, unit: row.unit };
}

function readRound({ rows, rounds }: AreaReport, index: number): Numbers {
  const round = rounds[index]!;
  return Object.fromEntries(rows.map((row) => [nameOf(row), round[row.program]![row.name]!]));
}

/** Those that are there of both in every round, and of which a ratio can be made; each once. */
function findMeasures(measures: readonly Measure[], rounds: readonly Round[]): Measure[] {
  const single = [...new Map(measures.map((measure) => [measure.name, measure])).values()];
  return single.filter(({ name }) =>
    rounds.every((round) => Object.values(round).every((values) => (values[name] ?? 0) > 0)),
  );
}
