import { FACTOR, measureOverload, type OverloadEffort, SERVICE_MS, SLOTS } from './overload/measure-overload.ts';
import { type AreaReport, type Check, type Effort, median, type Round } from './support/report.ts';
import type { Stage } from './support/stage.ts';

const FULL: OverloadEffort = { warmMs: 2_000, stepMs: 4_000, unloadedMs: 4_000, overloadMs: 15_000 };
const QUICK: OverloadEffort = { warmMs: 500, stepMs: 1_000, unloadedMs: 1_000, overloadMs: 3_000 };

const LEAST_GOODPUT = 0.8;
const LONGEST_P99 = 3;
const LONGEST_REFUSAL_MS = 50;

/** What the gateway does with four times the load that its orchestrator can bear. */
export async function benchOverload(stage: Stage, { rounds: roundCount, quick }: Effort): Promise<AreaReport> {
  const effort = quick ? QUICK : FULL;
  const rounds: Round[] = [];
  for (let round = 1; round <= roundCount; round++) {
    const gateway = await stage.turn(() => measureOverload(stage, effort));
    rounds.push({ gateway });
    const { goodputShare, p99Ratio, refusedP99Ms } = gateway;
    const text = `goodput ×${goodputShare!.toFixed(2)}, p99 ×${p99Ratio!.toFixed(2)}, refusals ${refusedP99Ms!.toFixed(0)} ms`;
    stage.say(`overload, round ${round} of ${roundCount}: ${text}`);
  }
  const read = (name: string) => median(rounds.map(({ gateway }) => gateway![name]!));
  const check = (name: string, label: string, unit: string, isGood: (value: number) => boolean): Check => {
    const value = read(name);
    return { name, label, unit, cells: { gateway: { value } }, passed: quick || isGood(value) };
  };
  const any = () => true;
  return {
    area: 'overload',
    title: `reads at ${FACTOR} times the rate that saturates an orchestrator which works on ${SLOTS} calls at once, for ${SERVICE_MS} ms each`,
    workload: { slots: SLOTS, serviceMs: SERVICE_MS, factor: FACTOR, ...effort },
    rows: [],
    checks: [
      check('peak', 'most answers a second at any rate', '/s', any),
      check('offered', 'requests a second in overload', '/s', any),
      check('goodput', 'answers a second in overload', '/s', any),
      check('goodputShare', `goodput of the peak (at least ${LEAST_GOODPUT})`, '×', (share) => share >= LEAST_GOODPUT),
      check('unloadedP99Ms', 'p99 without load', 'ms', any),
      check('p99Ms', 'p99 of what is accepted in overload', 'ms', any),
      check('p99Ratio', `the same of p99 without load (at most ${LONGEST_P99})`, '×', (ratio) => ratio <= LONGEST_P99),
      check('refusedP99Ms', `p99 of refusals (at most ${LONGEST_REFUSAL_MS})`, 'ms', (ms) => ms <= LONGEST_REFUSAL_MS),
      check('cpuShare', "the gateway's share of a core in overload", '', any),
    ],
    rounds,
    notes: [
      'Requests come at a fixed rate, whether the last ones are answered or not; times count from when each was due.',
      'The rate that saturates: the least at which the most answers came. The gateway has its default settings.',
      `Load and orchestrator share the other core: ${stage.pinning}.`,
    ],
  };
}
