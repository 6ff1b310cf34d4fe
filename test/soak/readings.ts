import { type Exposition, percentileBetween } from '../chaos/upstreams/exposition.ts';
import { readProcess } from '../chaos/upstreams/levels.ts';
import { scrape } from '../chaos/upstreams/levels-of-gateway.ts';
import type { Scene } from '../chaos/upstreams/scene.ts';

/** One look at everything that could grow. */
export interface Reading {
  /** By performance.now(). */
  readonly atMs: number;
  readonly rssMb: number;
  readonly heapMb: number;
  /** Memory outside of the heap that objects hold, array buffers included. */
  readonly externalMb: number;
  readonly sockets: number;
  readonly pipes: number;
  readonly files: number;
  readonly established: number;
  /** TCP sockets that are being closed, on either side. */
  readonly closing: number;
  /** What keeps the event loop awake. */
  readonly handles: number;
  /** The bound of the bucket with the 99th percentile since the last look. */
  readonly lagMs: number;
  readonly streams: number;
  readonly upstreamStreams: number;
  readonly inFlight: number;
  /** Of one core, since the last look. */
  readonly cpuPercent: number;
  readonly orchestratorRssMb: number;
  readonly orchestratorSockets: number;
}

const MB = 1_048_576;

/** Looks at the gateway and the orchestrator; an orchestrator that is not there has nothing. */
export function createReader(scene: Scene) {
  let last: { metrics: Exposition; atMs: number; cpuSeconds: number } | undefined;

  return async (): Promise<Reading> => {
    const metrics = await scrape(scene.port);
    const own = readProcess(scene.gateway.pid()!);
    const other = readOther(scene.orchestrator.pid());
    const atMs = performance.now();
    const before = last ?? { metrics, atMs: atMs - 1, cpuSeconds: own.cpuSeconds };
    last = { metrics, atMs, cpuSeconds: own.cpuSeconds };
    const gauge = (name: string) => metrics.sum(name) ?? Number.NaN;
    const { established = 0, listening = 0, ...closing } = own.tcp;
    void listening;
    return {
      atMs,
      rssMb: own.rssBytes / MB,
      heapMb: gauge('nodejs_heap_size_used_bytes') / MB,
      externalMb: gauge('nodejs_external_memory_bytes') / MB,
      sockets: own.sockets,
      pipes: own.pipes,
      files: own.others,
      established,
      closing: Object.values(closing).reduce((sum, count) => sum + count, 0),
      handles: gauge('nodejs_active_handles'),
      lagMs: percentileBetween(before.metrics, metrics, 'foldforge_event_loop_lag_seconds', 0.99) * 1_000,
      streams: gauge('foldforge_gateway_event_streams'),
      upstreamStreams: gauge('foldforge_gateway_upstream_event_streams'),
      inFlight: gauge('foldforge_gateway_http_requests_in_flight') - 1,
      cpuPercent: ((own.cpuSeconds - before.cpuSeconds) / (atMs - before.atMs)) * 100_000,
      orchestratorRssMb: other ? other.rssBytes / MB : Number.NaN,
      orchestratorSockets: other ? other.sockets : Number.NaN,
    };
  };
}

function readOther(pid: number | undefined) {
  try {
    return pid === undefined ? undefined : readProcess(pid);
  } catch {
    return undefined; // It was killed just now.
  }
}
