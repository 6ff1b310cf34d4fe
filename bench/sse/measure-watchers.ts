import { setTimeout as sleep } from 'node:timers/promises';
import type { BackendAnswer, BackendMessage } from '../support/backend.ts';
import { readCpuMs, readRssBytes } from '../support/process-usage.ts';
import type { Program } from '../support/program.ts';
import type { Stage } from '../support/stage.ts';
import type { WatchersAnswer, WatchersMessage } from '../support/watchers.ts';

/** Of all workflows together. Slow enough for a peer that pays for each watcher. */
export const EVENTS_PER_SECOND = 80;
/** Per workflow: before anything is measured, and while the CPU is. */
export const WARM_EVENTS = 6;
export const EVENTS = 12;

const OPEN_BOUND_MS = 120_000;
const DELIVERY_BOUND_MS = 60_000;
const SETTLE_BOUND_MS = 60_000;
const POLL_MS = 50;

type StartSubject = (stage: Stage, endpoint: string) => Program;

const TESTED = {
  place: 'tested',
  // The first is production's. The others let us ask for its memory without garbage.
  nodeFlags: ['--max-semi-space-size=32', '--expose-gc', '--import=./bench/support/self-report.ts'],
} as const;

/** How each program under test is started for an orchestrator, and by what it is known. */
export const SUBJECTS: Readonly<Record<string, StartSubject>> = {
  gateway(stage, endpoint) {
    const env = {
      FOLDFORGE_GATEWAY__BIND_ADDR: '127.0.0.1:0',
      FOLDFORGE_GATEWAY__ORCHESTRATOR_ENDPOINT: endpoint,
    };
    return stage.start('src/bin/gateway.ts', { ...TESTED, env });
  },
  naive: (stage, endpoint) => stage.start('bench/peers/naive-sse.ts', { ...TESTED, args: [endpoint] }),
};

/** Measures one program, all of whose processes start anew: what its watchers cost, and how long their events take. */
export async function measureWatchers(
  stage: Stage,
  start: StartSubject,
  { watchers, workflows }: { readonly watchers: number; readonly workflows: number },
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
    const readOthersCores = stage.watchOthers();
    const { openStreams, emittedAtMs } = await deliver(EVENTS, WARM_EVENTS + EVENTS);
    const after = readTimes(programs);
    const othersCores = readOthersCores();
    const { delayP50Ms, delayP99Ms } = await askLoad({ delays: { emittedAtMs, workflows } });
    // Last: a forced collection also throws compiled code away.
    const open = await readMemory(subject);
    const share = (program: keyof typeof programs) =>
      (after[program] - before[program]) / (after.wallMs - before.wallMs);
    return {
      rssKbPerWatcher: (open.rssBytes - idle.rssBytes) / watchers / 1000,
      rssWithGarbageKbPerWatcher: (open.withGarbageBytes - idle.withGarbageBytes) / watchers / 1000,
      cpuUsPerEvent: ((after.subject - before.subject) * 1000) / (watchers * EVENTS),
      delayP50Ms,
      delayP99Ms,
      cpuShare: share('subject'),
      backendCpuShare: share('backend'),
      loadCpuShare: share('load'),
      othersCores,
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
