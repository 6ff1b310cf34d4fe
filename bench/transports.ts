import { type AreaReport, type Effort, summarize } from './support/report.ts';
import type { Stage } from './support/stage.ts';
import { CLIENTS, LONE_PACE, measureName } from './unary/measure.ts';
import { measureRounds } from './unary/rounds.ts';

/** Besides the default. */
const TRANSPORTS = ['session', 'stock'];

/** The same gateway over each of its transports. */
export async function benchTransports(stage: Stage, { rounds: count, quick, alone }: Effort): Promise<AreaReport> {
  const transports = alone ? [] : TRANSPORTS;
  const { rounds, scene } = await measureRounds(
    stage,
    { area: 'transports', count, quick },
    { alone: true, transports },
  );
  const measures = scene.cases.flatMap(({ name, label }) => [
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
