import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { createSeeded } from '../seeded.ts';
import { isRefusedForRoom, RECOVERY_MS } from './allowed.ts';
import { type Fault, perform } from './faults.ts';
import { type Episode, findSlow, findSlowRecoveries, findWrong, tell } from './judge.ts';
import { findLeaks, readSettled, scrape } from './levels-of-gateway.ts';
import { createLoad, type Load } from './load.ts';
import { checkOrders } from './orders.ts';
import { prepareRecovery } from './recovery.ts';
import { countKinds, tabulate } from './report.ts';
import type { Scene } from './scene.ts';

/** Of a machine that has other things to do. */
const BUSY_RECOVERY_MS = 15_000;
/** Between two faults, once everything is well. */
const REST_MS = RECOVERY_MS + 500;
/** Connections that nobody uses are closed within this. */
const LEAKS_MS = 100_000;
/** So often the run looks how late it is itself. */
const LOOK_MS = 10;
/** Calls that were made again, of all that were made. */
const MAX_REPEATED = 0.1;

export interface RunOptions {
  readonly seed: number;
  readonly rounds: number;
  readonly faults: readonly Fault[];
  /** Nobody waits at the end until the store hangs up on connections that nobody uses: it does so at once. */
  readonly isShort?: boolean;
  /** The machine has other things to do: neither times are judged, but that all came back, nor refusals for want of room. */
  readonly isBusy?: boolean;
  /** Gets a line on each fault when it is over. */
  readonly onProgress?: (line: string) => void;
}

export interface RunReport {
  readonly failures: readonly string[];
  readonly lines: readonly string[];
  readonly durationMs: number;
}

/** Under load, one fault after the other; at the end everything that was seen is judged. */
export async function runUpstreams(scene: Scene, options: RunOptions): Promise<RunReport> {
  const { seed, rounds, faults, isShort = false, isBusy = false, onProgress = () => {} } = options;
  const startMs = performance.now();
  const load = await createLoad(scene, createSeeded(seed), 1);
  // With every kind of connection having been used once.
  await warmUp(load);
  load.disconnect();
  const before = await readSettled(scene);
  const metricsBefore = await scrape(scene.port);
  const streamsBefore = scene.rpcWire.streams();
  const own = monitorEventLoopDelay({ resolution: LOOK_MS });
  own.enable();
  load.start();
  await sleep(REST_MS);

  const episodes: Episode[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const fault of faults) {
      const recovery = await prepareRecovery(load, load.holders[(round + episodes.length) % load.holders.length]!);
      const outage = { name: fault.name, sick: fault.sick, fromMs: performance.now(), untilMs: Infinity };
      Object.assign(outage, await perform(fault, scene));
      const firsts = await recovery.measure(outage.untilMs);
      episodes.push({ outage, recovery: firsts });
      const told = Object.entries(firsts).map(([kind, ms]) => `${kind} ${Math.round(ms)}`);
      onProgress(`${fault.name}: first good answers after ${told.join(', ')} ms`);
      await sleep(REST_MS);
    }
  }

  const settling = await load.stop();
  if (isShort) scene.storeWire.hangUp();
  const { leaks, told } = await findLeaks(scene, before, LEAKS_MS);
  const outages = episodes.map(({ outage }) => outage);
  const samples = load.samples.all;
  const judged = isBusy ? samples.filter((sample) => !isRefusedForRoom(sample)) : samples;
  const metrics = await scrape(scene.port);
  const rise = (name: string) => (metrics.sum(name) ?? 0) - (metricsBefore.sum(name) ?? 0);
  const unary = rise('foldforge_gateway_upstream_request_duration_seconds_count');
  const retries = rise('foldforge_gateway_upstream_retries_total');
  const repeats = scene.repeats.counts();
  const share = Math.max(retries, repeats.repeated) / Math.max(1, unary);
  own.disable();
  const failures = [
    ...settling,
    ...tell(findWrong(judged, outages)),
    ...findSlowRecoveries(episodes, isBusy ? BUSY_RECOVERY_MS : RECOVERY_MS),
    ...(isBusy ? [] : findSlow(samples, outages)),
    ...leaks.map((leak) => `${LEAKS_MS / 1_000} s after the end: ${leak}`),
    ...tell(await checkStored(scene, load)),
    ...(share > MAX_REPEATED ? [`${(share * 100).toFixed(1)} % of all calls were made again`] : []),
    ...[scene.gateway, scene.orchestrator, scene.store].flatMap(({ endings }) => endings),
  ];
  const lines = [
    ...tabulate(episodes, samples),
    `asked: ${countKinds(samples)}`,
    `the run itself was late by ${lateMs(own, 99)} ms (p99) and ${lateMs(own, 99.9)} ms (p99.9), which is noise of the machine`,
    `calls to the orchestrator: ${unary} by the gateway's count, ${scene.rpcWire.streams() - streamsBefore} with streams on the wire; made again: ${retries} by the gateway's count, ${repeats.repeated} by the orchestrator's log (${(share * 100).toFixed(1)} %), and ${repeats.reopened} for streams that went on`,
    told,
  ];
  return { failures, lines, durationMs: performance.now() - startMs };
}

function lateMs(delay: ReturnType<typeof monitorEventLoopDelay>, percentile: number): number {
  return Math.max(0, Math.round(delay.percentile(percentile) / 1e6) - LOOK_MS);
}

export async function warmUp({ asking, holders, stranger }: Load): Promise<void> {
  for (const { client, file, sleeper } of holders) {
    await Promise.all([asking.get(client, sleeper), asking.list(client, 20), asking.download(client, file)]);
  }
  await asking.readyz(stranger);
}

/** The workflows that are there, and what the watchers were told of them. */
export async function checkStored({ databaseUrl }: Scene, { orders, watchings }: Load): Promise<string[]> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ id: string; key: string; last: number }>(
      `select id, labels->>'order' as key, last_event_id::integer as last from workflows
       where starts_with(labels->>'order', $1)`,
      [orders.name],
    );
    const lastEvents = new Map(rows.map(({ id, last }) => [id, last]));
    const watched = watchings.flatMap(({ order, watching }) => watching.faults(lastEvents.get(order.id!) ?? 0));
    const stored = rows.map(({ id, key }) => [id, key] as const);
    return [...checkOrders(orders.all, stored), ...watched];
  } finally {
    await client.end();
  }
}
