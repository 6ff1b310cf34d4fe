import { hashKey, mintKeys } from '../support/api-keys.ts';
import { readCpuMs } from '../support/process-usage.ts';
import type { Stage } from '../support/stage.ts';
import { startSurroundings } from '../support/surroundings.ts';
import type { Tally } from '../support/tally.ts';

/** Each asks for less than the rate that one principal may ask at, with the gateway's own defaults. */
const KEYS = 200;
/** So many that an answer that is waited for keeps no other request from being sent. */
const CONNECTIONS = 1_000;
const UNLOADED_SHARE = 0.3;
/** What an orchestrator is like that has so much to do: 1,600 calls a second at the most. */
export const SLOTS = 32;
export const SERVICE_MS = 20;
const CAPACITY = (SLOTS * 1000) / SERVICE_MS;
/** Steps at which the load rises until no more comes of it, as shares of what the orchestrator can do. */
const STEPS = [0.8, 0.9, 1, 1.1, 1.25];
export const FACTOR = 4;
const SERVED = 200;
const REFUSED = 503;

export interface OverloadEffort {
  readonly warmMs: number;
  readonly stepMs: number;
  readonly unloadedMs: number;
  readonly overloadMs: number;
}

/** One round, with all that starts new. */
export async function measureOverload(stage: Stage, effort: OverloadEffort): Promise<Record<string, number>> {
  try {
    const { backendPort, askBackend, send } = await startSurroundings(stage);
    const tokens = mintKeys(KEYS);
    await askBackend({ know: { keyHashes: tokens.map(hashKey), isLimited: false } });
    await askBackend({ limit: { slots: SLOTS, serviceMs: SERVICE_MS } });
    const gateway = stage.start('src/bin/gateway.ts', {
      place: 'tested',
      nodeFlags: ['--max-semi-space-size=32'],
      liftsLimits: false,
      env: {
        FOLDFORGE_GATEWAY__BIND_ADDR: '127.0.0.1:0',
        FOLDFORGE_GATEWAY__ORCHESTRATOR_ENDPOINT: `http://127.0.0.1:${backendPort}`,
        FOLDFORGE_GATEWAY__API_KEYS_ENABLED: 'true',
        FOLDFORGE_GATEWAY__AUTH_CACHE_TTL_SECONDS: '3600',
        FOLDFORGE_GATEWAY__CONNECTION_MAX_REQUESTS: '1000000000',
      },
    });
    const port = await gateway.port();
    const ask = async (perSecond: number, forMs: number): Promise<Tally> => {
      const { callers } = await send(port, { callers: { tokens, perSecond, connections: CONNECTIONS }, forMs });
      const others = callers.requests - (callers.statuses[SERVED] ?? 0) - (callers.statuses[REFUSED] ?? 0);
      if (others > 0)
        throw new Error(`answers other than ${SERVED} and ${REFUSED}: ${JSON.stringify(callers.statuses)}`);
      return callers;
    };
    const served = ({ statuses, requests, perSecond }: Tally) => (perSecond * (statuses[SERVED] ?? 0)) / requests;

    await ask(CAPACITY * UNLOADED_SHARE, effort.warmMs);
    const unloaded = await ask(CAPACITY * UNLOADED_SHARE, effort.unloadedMs);
    let peak = 0;
    let saturating = 0;
    for (const step of STEPS) {
      const goodput = served(await ask(CAPACITY * step, effort.stepMs));
      if (goodput <= peak) continue;
      peak = goodput;
      saturating = CAPACITY * step;
    }
    const cpuBeforeMs = readCpuMs(gateway.pid);
    const overload = await ask(saturating * FACTOR, effort.overloadMs);
    const accepted = overload.byStatus[SERVED]!;
    return {
      peak,
      offered: saturating * FACTOR,
      goodput: served(overload),
      goodputShare: served(overload) / peak,
      unloadedP99Ms: unloaded.byStatus[SERVED]!.p99Ms,
      p99Ms: accepted.p99Ms,
      p99Ratio: accepted.p99Ms / unloaded.byStatus[SERVED]!.p99Ms,
      refusedP99Ms: overload.byStatus[REFUSED]?.p99Ms ?? 0,
      cpuShare: (readCpuMs(gateway.pid) - cpuBeforeMs) / effort.overloadMs,
    };
  } finally {
    await stage.clear();
  }
}
