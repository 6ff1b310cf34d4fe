import { EVENTS, EVENTS_PER_SECOND, measureWatchers, SUBJECTS, WARM_EVENTS } from './sse/measure-watchers.ts';
import { assertOpenFiles } from './support/process-usage.ts';
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

const SIZE = { watchers: 5_000, workflows: 100 };
const QUICK_SIZE = { watchers: 500, workflows: 10 };
/** Files that a process has open besides its connections. */
const OTHER_FILES = 100;
/** Share of their core from which on the backend and the load may hold the program under test up. */
const BUSY_SHARE = 0.8;

const MEASURES: readonly Measure[] = [
  { name: 'rssKbPerWatcher', label: 'RSS per watcher', unit: 'kB', limit: 25 },
  { name: 'rssWithGarbageKbPerWatcher', label: 'RSS per watcher, with garbage', unit: 'kB' },
  { name: 'cpuUsPerEvent', label: 'CPU per delivered event', unit: 'µs', limit: 25 },
  { name: 'delayP50Ms', label: 'delay of an event, p50', unit: 'ms' },
  { name: 'delayP99Ms', label: 'delay of an event, p99', unit: 'ms' },
];

/** Many watchers on few workflows: what each costs in memory, and each event that one of them gets in CPU time. */
export async function benchSse(
  stage: Stage,
  { rounds: roundCount, quick, alone = false }: Effort,
): Promise<AreaReport> {
  const size = quick ? QUICK_SIZE : SIZE;
  const { gateway, ...peers } = SUBJECTS;
  const subjects = { gateway: gateway!, ...(alone ? {} : peers) };
  const { watchers, workflows } = size;
  assertOpenFiles(watchers + OTHER_FILES);
  const rounds: Round[] = [];
  for (let round = 1; round <= roundCount; round++) {
    const programs: Record<string, Record<string, number>> = {};
    for (const [name, start] of Object.entries(subjects)) {
      const numbers = await stage.turn(() => measureWatchers(stage, start, size));
      programs[name] = numbers;
      const said = MEASURES.map(({ name: key, unit }) => `${numbers[key]!.toFixed(1)} ${unit}`).join(', ');
      stage.say(`sse, round ${round} of ${roundCount}, ${name}: ${said}`);
    }
    rounds.push(programs);
  }
  return {
    area: 'sse',
    title: `${watchers} watchers on ${workflows} workflows, ${EVENTS_PER_SECOND} events a second with ${watchers / workflows} readers each`,
    workload: {
      watchers,
      workflows,
      eventsPerSecond: EVENTS_PER_SECOND,
      deliveredEvents: watchers * EVENTS,
    },
    rows: summarize(rounds, quick ? withoutLimits(MEASURES) : MEASURES),
    rounds,
    notes: [
      `Every watcher got each of its ${WARM_EVENTS + EVENTS} events once. Delay: from when the backend sent it until a watcher had read it.`,
      `Pinning: ${stage.pinning}.`,
      ...Object.keys(subjects).map((name) => describeRuns(name, rounds)),
    ],
  };
}

/** How many streams it read, and whether the others on the second core may have held it up. */
function describeRuns(name: string, rounds: readonly Round[]): string {
  const read = (key: string) => median(rounds.map((round) => round[name]![key]!));
  const percent = (key: string) => `${Math.round(read(key) * 100)} %`;
  const isHeldUp = read('backendCpuShare') + read('loadCpuShare') > BUSY_SHARE;
  return [
    `${name}: ${read('upstreamStreams')} upstream streams;`,
    `CPU in use while events came: ${percent('cpuShare')} by itself,`,
    `${percent('backendCpuShare')} by the backend, ${percent('loadCpuShare')} by the watchers.`,
    `Others used ${read('othersCores').toFixed(1)} cores then, which adds to delays.`,
    ...(isHeldUp ? ['The last two are too busy: they hold it up.'] : []),
  ].join(' ');
}
