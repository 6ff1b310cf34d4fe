import cluster from 'node:cluster';
import type { GatewayConfig } from '../gateway/config.ts';
import { type Exposition, exposeProcess } from '../gateway/exposition.ts';
import type { Gateway } from '../gateway/gateway.ts';
import { createMetrics, type Metrics } from '../gateway/metrics.ts';
import { createLog, type Log } from '../shared/log.ts';
import { StartupError } from '../shared/startup-error.ts';
import type { ToPrimary, ToWorker } from './worker-messages.ts';

const EX_SOFTWARE = 70;
/** How long the metrics of all workers may take, in milliseconds; the first process waits for less. */
const SCRAPE_BOUND_MS = 3_000;

interface Parts {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly exposition: Exposition;
}

/**
 * Runs this process as one of several that share an address, until the first process says that it is to drain, or is gone.
 * Signals are the first process's matter: a terminal, or a supervisor, may send them to all.
 */
export async function runWorker(
  name: string,
  start: (config: GatewayConfig, parts: Parts) => Promise<Gateway>,
): Promise<void> {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => undefined);
  // Or node:cluster would end this process with the first one, in the middle of its requests.
  cluster.worker!.exitedAfterDisconnect = true;
  const given = Promise.withResolvers<GatewayConfig>();
  const stop = Promise.withResolvers<'drain' | 'orphaned'>();
  const metrics = createMetrics();
  const scrape = createScrape();
  let serving = false;

  process.on('message', (message: ToWorker) => {
    if (message.type === 'start') given.resolve(message.config);
    else if (message.type === 'drain') stop.resolve('drain');
    else if (message.type === 'scraped') scrape.answer(message.text);
    else void metrics.registry.getMetricsAsJSON().then((measured) => tell({ type: 'measured', measured }));
  });
  // Who ends the first process by force, while it waits for requests to finish, has no time for them.
  process.once('disconnect', () => (serving ? stop.resolve('orphaned') : process.exit(0)));

  try {
    const config = await given.promise;
    const log = createLog(name, config.LOG_LEVEL);
    const exposition = { ...exposeProcess(metrics), read: scrape.read };
    const gateway = await start(config, { log, metrics, exposition });
    serving = true;
    tell({ type: 'ready', port: gateway.port });
    if ((await stop.promise) === 'orphaned') log.error('the first process is gone: this worker ends, too');
    serving = false;
    await gateway.close();
    process.exit(0);
  } catch (error) {
    fail(error);
  }
}

/** Asks the first process for the metrics of all. Concurrent scrapes share one question. */
function createScrape() {
  let asked: PromiseWithResolvers<string> | undefined;
  let timer: NodeJS.Timeout | undefined;

  function answer(text: string | undefined): void {
    clearTimeout(timer);
    if (text === undefined) asked?.reject(new Error('the metrics of all workers cannot be had'));
    else asked?.resolve(text);
    asked = undefined;
  }

  return {
    answer,
    read(): Promise<string> {
      if (asked) return asked.promise;
      asked = Promise.withResolvers();
      timer = setTimeout(answer, SCRAPE_BOUND_MS, undefined);
      tell({ type: 'scrape' });
      return asked.promise;
    },
  };
}

function fail(error: unknown): void {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  const isFault = !(error instanceof StartupError);
  const exitCode = isFault ? EX_SOFTWARE : error.exitCode;
  tell({ type: 'failed', message, exitCode, ...(isFault && stack !== undefined && { stack }) }, () =>
    process.exit(exitCode),
  );
}

/** Calls `then` once it is sent, or cannot be: a first process that is gone is noticed by its silence. */
function tell(message: ToPrimary, then: () => void = () => undefined): void {
  if (process.connected) process.send!(message, undefined, undefined, then);
  else then();
}
