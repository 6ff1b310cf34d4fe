import { setTimeout as sleep } from 'node:timers/promises';
import type { BackendAnswer, BackendMessage } from './support/backend.ts';
import { assertOpenFiles, readCpuMs, readRssBytes } from './support/process-usage.ts';
import {
  type AreaReport,
  type Effort,
  type Measure,
  median,
  type Round,
  summarize,
  withoutLimits,
} from './support/report.ts';
import type { Program, Stage } from './support/stage.ts';
import type { WatchersAnswer, WatchersMessage } from './support/watchers.ts';

const SIZE = { watchers: 5_000, workflows: 100 };
const QUICK_SIZE = { watchers: 500, workflows: 10 };
/** Of all workflows together. Slow enough for a peer that pays for each watcher. */
const EVENTS_PER_SECOND = 80;
/** Per workflow: before anything is measured, and while the CPU is. */
const WARM_EVENTS = 6;
const EVENTS = 12;

/** Files that a process has open besides its connections. */
const OTHER_FILES = 100;
const OPEN_BOUND_MS = 120_000;
const DELIVERY_BOUND_MS = 60_000;
const SETTLE_BOUND_MS = 60_000;
const POLL_MS = 50;
/** Share of their core from which on the backend and the load may hold the program under test up. */
const BUSY_SHARE = 0.8;

const MEASURES: readonly Measure[] = [
  { name: 'rssKbPerWatcher', label: 'RSS per watcher', unit: 'kB', limit: 25 },
  { name: 'rssWithGarbageKbPerWatcher', label: 'RSS per watcher, with garbage', unit: 'kB' },
  { name: 'cpuUsPerEvent', label: 'CPU per delivered event', unit: 'µs', limit: 25 },
];

const TESTED = {
  place: 'tested',
  // The first is production's. The others let us ask for its memory without garbage.
  nodeFlags: ['--max-semi-space-size=32', '--expose-gc', '--import=./bench/support/self-report.ts'],
} as const;

/** How each program under test is started for an orchestrator, and by what it is known. */
const SUBJECTS: Readonly<Record<string, (stage: Stage, endpoint: string) => Program>> = {
  gateway(stage, endpoint) {
    const env = {
      FOLDFORGE_GATEWAY__BIND_ADDR: '127.0.0.1:0',
      FOLDFORGE_GATEWAY__ORCHESTRATOR_ENDPOINT: endpoint,
    };
    return stage.start('src/bin/gateway.ts', { ...TESTED, env });
  },
  naive: (stage, endpoint) => stage.start('bench/peers/naive-sse.ts', { ...TESTED, args: [endpoint] }),
};

/** Many watchers on few workflows: what each costs in memory, and each event that one of them gets in CPU time. */
export async function benchSse(stage: Stage, { rounds: roundCount, quick }: Effort): Promise<AreaReport> {
  const size = quick ? QUICK_SIZE : SIZE;
  const { watchers, workflows } = size;
  assertOpenFiles(watchers + OTHER_FILES);
  const rounds: Round[] = [];
  for (let round = 1; round <= roundCount; round++) {
    const programs: Record<string, Record<string, number>> = {};
    for (const [name, start] of Object.entries(SUBJECTS)) {
      const numbers = await measure(stage, start, size);
      programs[name] = numbers;
      const said = MEASURES.map(({ name: key, unit }) => `${numbers[key]!.toFixed(1)} ${unit}`).join(', ');
      process.stderr.write(`sse, round ${round} of ${roundCount}, ${name}: ${said}\n`);
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
      `Every watcher got each of its ${WARM_EVENTS + EVENTS} events once.`,
      `Pinning: ${stage.pinning}.`,
      ...Object.keys(SUBJECTS).map((name) => describeRuns(name, rounds)),
    ],
  };
}

/** Measures one program, all of whose processes start anew. */
async function measure(
  stage: Stage,
  start: (stage: Stage, endpoint: string) => Program,
  { watchers, workflows }: typeof SIZE,
): Promise<Record<string, number>> {
  try {
    const backend = stage.start('bench/support/backend.ts', { place: 'rest' });
    const askBackend = (message: BackendMessage) => backend.ask<BackendAnswer>(message, DELIVERY_BOUND_MS);
    const endpoint = `http://127.0.0.1:${await backend.port()}`;
    const { workflowIds } = await askBackend({ hold: workflows });
    const load = stage.start('bench/support/watchers.ts', { place: 'rest' });
    const askLoad = (message: WatchersMessage) => load.ask<WatchersAnswer>(message, OPEN_BOUND_MS);
    const subject = start(stage, endpoint);
    const port = await subject.port();

    const idle = await readMemory(subject);
    await askLoad({ open: { port, workflowIds, watchers } });
    await deliver(WARM_EVENTS, WARM_EVENTS);
    const programs = { subject, backend, load };
    const before = readTimes(programs);
    const { openStreams } = await deliver(EVENTS, WARM_EVENTS + EVENTS);
    const after = readTimes(programs);
    // Last: a forced collection also throws compiled code away.
    const open = await readMemory(subject);
    const share = (program: keyof typeof programs) =>
      (after[program] - before[program]) / (after.wallMs - before.wallMs);
    return {
      rssKbPerWatcher: (open.rssBytes - idle.rssBytes) / watchers / 1000,
      rssWithGarbageKbPerWatcher: (open.withGarbageBytes - idle.withGarbageBytes) / watchers / 1000,
      cpuUsPerEvent: ((after.subject - before.subject) * 1000) / (watchers * EVENTS),
      cpuShare: share('subject'),
      backendCpuShare: share('backend'),
      loadCpuShare: share('load'),
      upstreamStreams: openStreams,
    };

    /** Emits `each` events of every workflow, and waits until every watcher has got `total` since the beginning. */
    async function deliver(each: number, total: number): Promise<BackendAnswer> {
      const answer = await askBackend({ emit: { each, perSecond: EVENTS_PER_SECOND } });
      const deadline = performance.now() + DELIVERY_BOUND_MS;
      for (;;) {
        const { delivered, least, most, broken } = await askLoad({ count: true });
        if (broken !== undefined) throw new Error(`a watcher lost its stream: ${broken}`);
        if (least === total && most === total) return answer;
        if (most > total || performance.now() > deadline) {
          throw new Error(
            `${total} events were sent to each watcher; they got ${least} to ${most}, together ${delivered} of ${total * watchers}`,
          );
        }
        await sleep(POLL_MS);
      }
    }
  } finally {
    await stage.clear();
  }
}

async function readMemory(program: Program) {
  const withGarbageBytes = await readRssBytes(program.pid);
  await program.ask({ settle: true }, SETTLE_BOUND_MS);
  return { withGarbageBytes, rssBytes: await readRssBytes(program.pid) };
}

function readTimes({ subject, backend, load }: Readonly<Record<'subject' | 'backend' | 'load', Program>>) {
  return {
    wallMs: performance.now(),
    subject: readCpuMs(subject.pid),
    backend: readCpuMs(backend.pid),
    load: readCpuMs(load.pid),
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
    ...(isHeldUp ? ['The last two are too busy: they hold it up.'] : []),
  ].join(' ');
}
