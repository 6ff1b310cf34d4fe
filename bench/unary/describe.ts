import { type Check, check, type Measure, median, type Round } from '../support/report.ts';
import type { Case, CaseName } from './cases.ts';
import { BUSY_SHARE, measureName } from './measure.ts';

// What is said of the numbers: which have limits, and how far they can be believed.

/** What the gateway must reach of what a peer reaches. */
const FLOORS: Readonly<Record<CaseName, Readonly<Record<string, number>>>> = {
  get: { fastify: 2.5, 'node-http': 0.18 },
  post: { fastify: 2 },
  list: { fastify: 2 },
};
const P99_LIMITS = { fastify: 0.6 };

export function listMeasures({ name, label }: Case): Measure[] {
  return [
    { name: measureName(name, 'capacity'), label: `${label}: capacity`, unit: '/s', ratioFloors: FLOORS[name] },
    { name: measureName(name, 'cpuUs'), label: `${label}: CPU`, unit: 'µs' },
    { name: measureName(name, 'p50Ms'), label: `${label}: waits, p50`, unit: 'ms' },
    {
      name: measureName(name, 'p99Ms'),
      label: `${label}: waits, p99`,
      unit: 'ms',
      ...(name === 'get' && { ratioLimits: P99_LIMITS }),
    },
  ];
}

/** Who may have kept whom waiting: how much of their cores they used, and what the rest used for a request. */
export function checkShares({ name, label }: Case, rounds: readonly Round[]): Check[] {
  const share = (key: string, what: string, unit: string, factor = 1) => {
    const cells = Object.keys(rounds[0]!).map((program) => {
      const values = rounds.map((round) => round[program]![measureName(name, key)]!);
      return [program, median(values) * factor] as const;
    });
    return check({ name: measureName(name, key), label: `${label}: ${what}`, unit }, Object.fromEntries(cells));
  };
  return [
    share('cpuShare', 'its core in use', '%', 100),
    share('restShare', 'the other core', '%', 100),
    share('backendUs', 'backend', 'µs'),
    share('loadUs', 'load', 'µs'),
    share('benchUs', 'reading logs', 'µs'),
  ];
}

/** Names the programs that were not the bottleneck in some round. */
export function describeWaiting({ name, label }: Case, rounds: readonly Round[]): string[] {
  const waited = Object.keys(rounds[0]!).filter((program) =>
    rounds.some((round) => round[program]![measureName(name, 'wasWaiting')]! > 0),
  );
  if (waited.length === 0) return [];
  return [
    `${label}: not the bottleneck in some round, with less than ${BUSY_SHARE * 100} % of its core: ${waited.join(', ')}.`,
  ];
}

/** A line for each case, for whoever waits for the report. */
export function describeRound(round: Round, cases: readonly Case[]): string[] {
  return cases.map(({ name, label }) => {
    const said = Object.entries(round).map(([program, numbers]) => {
      const [perSecond, cpuUs] = ['perSecond', 'cpuUs'].map((key) => numbers[measureName(name, key)]!);
      return `${program} ${perSecond!.toFixed(0)} (${cpuUs!.toFixed(1)} µs)`;
    });
    return `${label}: ${said.join(', ')}`;
  });
}
