import { type AreaReport, type Effort, type Round, summarize } from './support/report.ts';
import type { Stage } from './support/stage.ts';
import { describeRound } from './unary/describe.ts';
import { CLIENTS, LONE_PACE, measureName, measureRound, type UnaryEffort, warm } from './unary/measure.ts';
import { inTemporaryFolder, openScene, type Scene } from './unary/programs.ts';

/** Besides the default. */
const TRANSPORTS = ['session', 'stock'];

const FULL: UnaryEffort = { warmMs: 3_000, peak: { turns: 8, sliceMs: 600 }, waiting: { turns: 4, sliceMs: 1_000 } };
const QUICK: UnaryEffort = { warmMs: 250, peak: { turns: 2, sliceMs: 200 }, waiting: { turns: 1, sliceMs: 400 } };

/** The same gateway over each of its transports. */
export async function benchTransports(stage: Stage, { rounds: count, quick, alone }: Effort): Promise<AreaReport> {
  const effort = quick ? QUICK : FULL;
  const rounds: Round[] = [];
  let scene: Scene | undefined;
  for (let round = 1; round <= count; round++) {
    await inTemporaryFolder(async (folder) => {
      try {
        const transports = alone ? [] : TRANSPORTS;
        const opened = await stage.turn(() => openScene(stage, { alone: true, folder, transports }));
        scene = opened;
        await warm(opened, effort);
        rounds.push(await measureRound(opened, effort));
      } finally {
        await stage.clear();
      }
    });
    for (const line of describeRound(rounds.at(-1)!, scene!.cases)) {
      stage.say(`transports, round ${round} of ${count}, ${line}`);
    }
  }
  const measures = scene!.cases.flatMap(({ name, label }) => [
    { name: measureName(name, 'capacity'), label: `${label}: capacity`, unit: '/s' },
    { name: measureName(name, 'cpuUs'), label: `${label}: CPU`, unit: 'µs' },
    { name: measureName(name, 'p99Ms'), label: `${label}: waits, p99`, unit: 'ms' },
  ]);
  return {
    area: 'transports',
    title: `${CLIENTS} clients that ask without a pause, of gateways that call the orchestrator over different transports`,
    workload: { clients: CLIENTS, requestsPerSecond: LONE_PACE },
    rows: summarize(rounds, [...measures, { name: 'rssMb', label: 'RSS after all that', unit: 'MB' }]),
    rounds,
    notes: [
      'gateway: over its default, direct. capacity: as in the area unary.',
      `waits: at ${LONE_PACE} requests a second, from when the request was due.`,
      `Pinning: ${stage.pinning}.`,
    ],
  };
}
