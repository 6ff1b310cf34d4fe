import { setTimeout as sleep } from 'node:timers/promises';
import { type Exposition, readExposition } from './exposition.ts';
import { readProcess } from './levels.ts';
import type { Scene } from './scene.ts';

/** What the gateway says of itself that has to go back to where it was. */
const GAUGES = {
  'requests in flight': 'foldforge_gateway_http_requests_in_flight',
  'held requests': 'foldforge_gateway_held_requests',
  'working requests': 'foldforge_gateway_working_requests',
  'downloads from the store': 'foldforge_gateway_object_store_transfers',
  'event streams': 'foldforge_gateway_event_streams',
  'upstream event streams': 'foldforge_gateway_upstream_event_streams',
  handles: 'nodejs_active_handles',
} as const;
const EVERY_MS = 500;

/** Counts of what is open, by name. */
export type Open = Readonly<Record<string, number>>;

/** The gateway's own metrics, over a connection that is closed again. */
export async function scrape(port: number): Promise<Exposition> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`, { headers: { Connection: 'close' } });
  if (!response.ok) throw new Error(`/metrics was answered with ${response.status}`);
  return readExposition(await response.text());
}

/** What is open at the gateway, and behind it on the wires. */
export async function readOpen({ port, gateway, orchestrator, rpcWire }: Scene): Promise<Open> {
  const metrics = await scrape(port);
  const { sockets, pipes, others } = readProcess(gateway.pid()!);
  const gauges = Object.entries(GAUGES).map(([name, metric]) => [name, metrics.sum(metric) ?? Number.NaN]);
  return {
    ...Object.fromEntries(gauges),
    // The scrape is one itself.
    'requests in flight': (metrics.sum(GAUGES['requests in flight']) ?? Number.NaN) - 1,
    'gateway sockets': sockets,
    'gateway pipes': pipes,
    'gateway files': others,
    'upstream connections': rpcWire.openLinks(),
    'upstream streams on the wire': rpcWire.openStreams(),
    'orchestrator sockets': readProcess(orchestrator.pid()!).sockets,
  };
}

/** What is open once nobody asks anything: reads until it is the same twice. */
export async function readSettled(scene: Scene): Promise<Open> {
  for (let before = ''; ; ) {
    const open = await readOpen(scene);
    const text = JSON.stringify(open);
    if (text === before) return open;
    before = text;
    await sleep(EVERY_MS);
  }
}

/**
 * Waits until nothing is open any more that was not open `before`; answers with what still is when the time is up, and
 * with how that went, in words.
 */
export async function findLeaks(
  scene: Scene,
  before: Open,
  boundMs: number,
): Promise<{ leaks: string[]; told: string }> {
  const begunMs = performance.now();
  let last: readonly string[] = [];
  for (;;) {
    const now = await readOpen(scene);
    const ms = performance.now() - begunMs;
    const leaks = Object.entries(now)
      .filter(([name, count]) => !(count <= before[name]!))
      .map(([name, count]) => `${name}: ${before[name]} before, ${count} now`);
    const took = `${(ms / 1_000).toFixed(1)} s`;
    if (leaks.length === 0) {
      const waited = last.length === 0 ? '' : `, the last of it ${last.join(', ')}`;
      return { leaks, told: `all that was opened was gone after ${took}${waited}` };
    }
    if (ms > boundMs) return { leaks, told: `still open after ${took}: ${leaks.join('; ')}` };
    last = leaks;
    await sleep(EVERY_MS);
  }
}
