import cluster from 'node:cluster';
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { GATEWAY_PREFIX, type GatewayConfig } from '../gateway/config.ts';
import { createMergedMetrics } from '../gateway/merged-metrics.ts';
import { createMetrics } from '../gateway/metrics.ts';
import type { Log } from '../shared/log.ts';
import { forkWorker, type WorkerProcess } from './worker-process.ts';
import { createScrapes } from './worker-scrapes.ts';

/** A worker that served for so long did not die of how it was started. */
const STEADY_MS = 10_000;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 10_000;
/** Workers cut what is open after the grace period by themselves; one that cannot even do so is killed. */
const KILL_AFTER_MS = 2_000;

export interface Workers {
  readonly port: number;
  /** Of those that were started first. */
  readonly pids: readonly number[];
  /** Drains all workers, as one process drains. */
  readonly close: () => Promise<void>;
}

/**
 * Runs `config.WORKERS` processes of this program, which share one address, and replaces those that die. Answers when all of
 * them are ready; throws what the first of them could not start for.
 */
export async function startWorkers(config: GatewayConfig, log: Log): Promise<Workers> {
  // The system would give most connections to whoever wakes up first, and some to one that hangs.
  cluster.schedulingPolicy = cluster.SCHED_RR;
  // JSON has no NaN, which the lag of an event loop is when it was measured twice within some milliseconds.
  cluster.setupPrimary({ serialization: 'advanced' });
  let shared = shareSecrets(config, log);
  const metrics = createMetrics();
  const scrapes = createScrapes(metrics.registry, createMergedMetrics());
  const running = new Set<WorkerProcess>();
  let stopping = false;

  function start(): WorkerProcess {
    const worker = forkWorker(shared, { onMeasured: scrapes.record, onScrape: scrape });
    running.add(worker);
    void worker.ended.then(() => {
      running.delete(worker);
      scrapes.depart(worker.id);
    });
    return worker;
  }

  function scrape(): Promise<string | undefined> {
    return scrapes.read(running).catch((error: unknown) => {
      log.error({ err: error }, 'the metrics of the workers cannot be put together');
      return undefined;
    });
  }

  /** Replaces a worker that dies: at once, but after longer and longer pauses while its successors die early, too. */
  async function keep(first: WorkerProcess, port: number): Promise<void> {
    let worker: WorkerProcess | undefined = first;
    for (let earlyEnds = 0; ; earlyEnds += 1) {
      if (worker) {
        const { exitCode, signal, servedMs, fault } = await worker.ended;
        if (stopping && exitCode === 0) return;
        if (servedMs >= STEADY_MS) earlyEnds = 0;
        metrics.workerEnds.inc();
        const next = stopping ? {} : { next_in_ms: pauseMs(earlyEnds) };
        log.error({ worker_pid: worker.pid, exit_code: exitCode, signal, err: fault, ...next }, 'a worker died');
        if (stopping) return;
      }
      await sleep(pauseMs(earlyEnds));
      if (stopping) return;
      worker = startAgain(port);
    }
  }

  function startAgain(port: number): WorkerProcess | undefined {
    const refused = (error: unknown) => log.error({ err: error }, 'a worker could not be started');
    try {
      const worker = start();
      worker.ready.then((ownPort) => greet(worker, ownPort, port), refused);
      return worker;
    } catch (error) {
      refused(error);
      return undefined;
    }
  }

  function greet(worker: WorkerProcess, ownPort: number, port: number): void {
    log.info({ worker_pid: worker.pid, started_in_ms: Math.round(worker.age()) }, 'a worker is ready');
    if (ownPort === port) return;
    // All workers were gone at the same time, and so was the port that 0 had picked: 0 would pick others from now on.
    shared = { ...shared, BIND_ADDR: { ...shared.BIND_ADDR, port } };
    worker.kill();
  }

  const first = Array.from({ length: config.WORKERS }, start);
  const ports = await Promise.all(first.map(({ ready }) => ready)).catch((error: unknown) => {
    for (const worker of running) worker.kill();
    throw error;
  });
  for (const worker of first) void keep(worker, ports[0]!);

  return {
    port: ports[0]!,
    pids: first.map(({ pid }) => pid!),
    async close() {
      stopping = true;
      const timer = setTimeout(() => {
        log.error({ worker_pids: [...running].map(({ pid }) => pid) }, 'workers that did not end were killed');
        for (const worker of running) worker.kill();
      }, config.SHUTDOWN_GRACE_SECONDS + KILL_AFTER_MS);
      for (const worker of running) worker.drain();
      await Promise.all([...running].map(({ ended }) => ended));
      clearTimeout(timer);
    },
  };
}

function pauseMs(earlyEnds: number): number {
  return earlyEnds === 0 ? 0 : Math.min(FIRST_PAUSE_MS * 2 ** (earlyEnds - 1), LONGEST_PAUSE_MS);
}

/** What one process would make up for itself must be the same for all. */
function shareSecrets(config: GatewayConfig, log: Log): GatewayConfig {
  if (config.STREAM_TICKET_SECRETS.length > 0) return config;
  log.warn(`${GATEWAY_PREFIX}STREAM_TICKET_SECRETS is not set: stream tickets are good in these workers alone`);
  return { ...config, STREAM_TICKET_SECRETS: [randomBytes(32).toString('hex')] };
}
