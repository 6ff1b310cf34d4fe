import { type AreaReport, type Effort, median, summarize, withoutLimits } from './support/report.ts';
import type { Stage } from './support/stage.ts';
import { checkShares, describeWaiting, listMeasures } from './unary/describe.ts';
import { CLIENTS, LONE_PACE, PACE_MAKER, PACE_SHARE } from './unary/measure.ts';
import { measureRounds } from './unary/rounds.ts';

/** Cores that others use, from which on they spoil the waiting times. */
const BUSY_CORES = 0.5;

/** The three calls that clients make most, through the gateway and through what others would have built. */
export async function benchUnary(
  stage: Stage,
  { rounds: roundCount, quick, alone = false }: Effort,
): Promise<AreaReport> {
  const { rounds, scene, othersCores } = await measureRounds(
    stage,
    { area: 'unary', count: roundCount, quick },
    { alone },
  );
  const { cases, bodies, missing } = scene;
  const measures = cases.flatMap(listMeasures);
  const limited = quick || alone ? withoutLimits(measures) : measures;
  const busyCores = median(othersCores);
  const bytes = (text = '') => Buffer.byteLength(text);
  return {
    area: 'unary',
    title: `${CLIENTS} clients that ask without a pause, then a fixed rate; the answers have ${bytes(bodies.get)}, ${bytes(bodies.post)} and ${bytes(bodies.list)} bytes`,
    workload: {
      clients: CLIENTS,
      getAnswerBytes: bytes(bodies.get),
      postRequestBytes: bytes(cases.find(({ name }) => name === 'post')!.body),
      postAnswerBytes: bytes(bodies.post),
      listAnswerBytes: bytes(bodies.list),
    },
    rows: summarize(rounds, [...limited, { name: 'rssMb', label: 'RSS after all that', unit: 'MB' }]),
    checks: cases.flatMap((each) => checkShares(each, rounds)),
    rounds,
    notes: [
      'capacity: requests a second that it answers; where it was not the bottleneck, what it would by its CPU time per request if',
      'it had its whole core. The limits hold for that. Every answer was good; those of gateway, fastify and naive-hono are the',
      'same JSON, and they ask the orchestrator for the same. The gateway alone computes entity tags, and fastify does not cancel',
      'the calls of clients that have left.',
      alone
        ? `waits: at ${LONE_PACE} requests a second, from when the request was due.`
        : `waits: at ${PACE_SHARE} of ${PACE_MAKER}'s peak of the same case and round, from when the request was due; the median of several slices.`,
      'The second table: CPU time, of whom the rest is backend, load, and the benchmark itself, which reads logs; in µs for a request.',
      ...cases.flatMap((each) => describeWaiting(each, rounds)),
      `Others on the machine used ${busyCores.toFixed(2)} cores meanwhile.`,
      ...(busyCores > BUSY_CORES ? ['That is too much to believe the waits: run it again when they are done.'] : []),
      ...(missing === undefined ? [] : [`Without nginx: ${missing}.`]),
      `Pinning: ${stage.pinning}.`,
    ],
  };
}
