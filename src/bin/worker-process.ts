import cluster, { type Worker } from 'node:cluster';
import type { GatewayConfig } from '../gateway/config.ts';
import type { Measured } from '../gateway/merged-metrics.ts';
import { StartupError } from '../shared/startup-error.ts';
import { closeLostConnection } from './lost-connection.ts';
import type { ToPrimary, ToWorker } from './worker-messages.ts';

const EX_INTERRUPTED = 130;

/** How a worker ended, and for how many milliseconds it had been serving. */
export interface WorkerEnd {
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly servedMs: number;
  /** What it said of it, if anything. */
  readonly fault?: Error;
}

export type WorkerProcess = ReturnType<typeof forkWorker>;

interface Callbacks {
  readonly onMeasured: (id: number, measured: Measured) => void;
  /** The worker is asked for the metrics of all. The answer is undefined when they cannot be had. */
  readonly onScrape: () => Promise<string | undefined>;
}

/** Starts one worker with these settings. */
export function forkWorker(config: GatewayConfig, { onMeasured, onScrape }: Callbacks) {
  const worker = cluster.fork();
  const { id } = worker;
  const ready = Promise.withResolvers<number>();
  const ended = Promise.withResolvers<WorkerEnd>();
  const measureWaiters = new Set<() => void>();
  const forkedAt = performance.now();
  let readyAt: number | undefined;
  let fault: Error | undefined;
  closeLostConnection(worker);
  worker.on('error', (error) => {
    // A worker may go while something is sent to it, which its end tells; only one that was never there has no end.
    if (worker.process.pid !== undefined) return;
    ready.reject(error);
    ended.resolve({ exitCode: null, signal: null, servedMs: 0 });
  });
  send(worker, { type: 'start', config });

  worker.on('message', (message: ToPrimary) => {
    if (message.type === 'ready') {
      readyAt = performance.now();
      ready.resolve(message.port);
    } else if (message.type === 'failed') {
      fault = faultOf(message);
    } else if (message.type === 'measured') {
      onMeasured(id, message.measured);
      for (const answered of measureWaiters) answered();
    } else {
      void onScrape().then((text) => send(worker, { type: 'scraped', ...(text !== undefined && { text }) }));
    }
  });

  // Only after both does nothing come from it any more.
  const exited = new Promise<[number | null, string | null]>((resolve) =>
    worker.once('exit', (...how) => resolve(how)),
  );
  const disconnected = new Promise((resolve) => worker.once('disconnect', resolve));
  void Promise.all([exited, disconnected]).then(([[exitCode, signal]]) => {
    const servedMs = readyAt === undefined ? 0 : performance.now() - readyAt;
    ended.resolve({ exitCode, signal, servedMs, ...(fault && { fault }) });
    ready.reject(fault ?? suddenEnd(exitCode, signal));
  });
  // Whoever waits for it is told; nobody has to.
  ready.promise.catch(() => undefined);

  return {
    id,
    pid: worker.process.pid,
    /** The port that it listens on. Rejected when it ends before it is ready. */
    ready: ready.promise,
    ended: ended.promise,
    /** Milliseconds since it was forked. */
    age: () => performance.now() - forkedAt,
    drain: () => send(worker, { type: 'drain' }),
    kill: () => worker.process.kill('SIGKILL'),
    /** Has `onMeasured` called, and says whether that was within `boundMs`. */
    async measure(boundMs: number): Promise<boolean> {
      const { promise, resolve } = Promise.withResolvers<boolean>();
      const timer = setTimeout(() => resolve(false), boundMs);
      const answered = () => resolve(true);
      measureWaiters.add(answered);
      void ended.promise.then(() => resolve(false));
      send(worker, { type: 'measure' });
      return promise.finally(() => {
        clearTimeout(timer);
        measureWaiters.delete(answered);
      });
    },
  };
}

function send(worker: Worker, message: ToWorker): void {
  if (worker.isConnected()) worker.send(message);
}

function faultOf({ message, exitCode, stack }: Extract<ToPrimary, { type: 'failed' }>): Error {
  return stack === undefined ? new StartupError(message, exitCode) : Object.assign(new Error(message), { stack });
}

function suddenEnd(exitCode: number | null, signal: string | null): Error {
  // A terminal's Ctrl-C goes to every process, and may come before a worker can listen to it.
  if (signal === 'SIGINT' || signal === 'SIGTERM') {
    return new StartupError(`stopped by ${signal} before it was ready`, EX_INTERRUPTED);
  }
  return new StartupError(
    `a worker ended before it was ready (${signal ?? `exit code ${exitCode}`})`,
    exitCode || undefined,
  );
}
