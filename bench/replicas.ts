import { measureReplicas, type ReplicasEffort } from './replicas/measure-replicas.ts';
import { type AreaReport, type Effort, type Measure, median, type Round, summarize } from './support/report.ts';
import type { Stage } from './support/stage.ts';

const FULL: ReplicasEffort = { warmSteps: 300, steps: 1_200, singles: 30, idleMs: 3_000 };
const QUICK: ReplicasEffort = { warmSteps: 50, steps: 200, singles: 5, idleMs: 1_000 };

/** By name, how many orchestrators share a database. */
const FORMS = { one: 1, two: 2, three: 3 } as const;
type Name = keyof typeof FORMS;

const MEASURES: readonly Measure[] = [
  { name: 'perSecond', label: 'steps a second', unit: '/s' },
  { name: 'replicasUs', label: 'CPU of the replicas per step', unit: 'µs' },
  { name: 'postgresUs', label: 'CPU of Postgres per step', unit: 'µs' },
  { name: 'cores', label: 'cores that both used', unit: '' },
  { name: 'transactions', label: 'transactions that write, per step', unit: '' },
  { name: 'logKb', label: 'write-ahead log per step', unit: 'kB' },
  { name: 'idleReplicasMs', label: 'idle: CPU of the replicas in a second', unit: 'ms' },
  { name: 'idlePostgresMs', label: 'idle: CPU of Postgres in a second', unit: 'ms' },
  { name: 'waitMs', label: 'idle: accepted to begun, p50', unit: 'ms' },
  { name: 'longestWaitMs', label: 'idle: accepted to begun, longest', unit: 'ms' },
];

/** Steps that do nothing, of one, two and three orchestrators on one database. */
export async function benchReplicas(
  stage: Stage,
  { rounds: roundCount, quick, alone = false }: Effort,
): Promise<AreaReport> {
  const effort = quick ? QUICK : FULL;
  const names = Object.keys(FORMS) as Name[];
  const rounds: Round[] = [];
  let version = '';
  for (let round = 1; round <= roundCount; round++) {
    const measured: Record<string, Record<string, number>> = {};
    for (const name of round % 2 === 1 ? names : names.toReversed()) {
      const { numbers, ...about } = await stage.turn(() => measureReplicas(stage, FORMS[name], effort));
      measured[name] = numbers;
      version = about.version;
    }
    rounds.push(measured);
    const said = names.map((name) => `${name} ${measured[name]!.perSecond!.toFixed(0)}/s`);
    stage.say(`replicas, round ${round} of ${roundCount}: ${said.join(', ')}`);
  }
  const read = (name: Name, measure: string) => median(rounds.map((round) => round[name]![measure]!));
  const cpuUs = (name: Name) => read(name, 'replicasUs') + read(name, 'postgresUs');
  const tell = (value: (name: Name) => string) => names.map((name) => `${name} ${value(name)}`).join(', ');
  return {
    area: 'replicas',
    title: `${effort.steps} steps that do nothing, all queued before the first begins, run by one, two and three orchestrators`,
    subject: 'replicas',
    workload: { ...effort },
    rows: names.toReversed().flatMap((name) => {
      const measures = MEASURES.map((measure) => ({ ...measure, label: `${measure.label}, ${name}` }));
      return summarize(rounds, measures, name, alone || name === 'one' ? [] : ['one']);
    }),
    rounds,
    notes: [
      `Postgres ${version}, over TCP, without fsync; each form has a database of its own, and the default concurrency.`,
      `All of it runs on the same two cores: ${stage.sharing}. Replicas and Postgres used of them: ${tell((name) => read(name, 'cores').toFixed(2))}.`,
      `Others, the benchmark's own polls included, used: ${tell((name) => read(name, 'othersCores').toFixed(2))}. What they take, the steps do not get.`,
      `By the CPU that a step takes, two cores to themselves allow: ${tell((name) => `${Math.round(2e6 / cpuUs(name))}/s`)}.`,
    ],
  };
}
