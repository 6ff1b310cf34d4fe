import { hashKey, mintKeys } from '../support/api-keys.ts';
import { readRssBytes } from '../support/process-usage.ts';
import { type Measure, median, type Round } from '../support/report.ts';
import type { Stage } from '../support/stage.ts';
import { assertStatus, CLIENTS, startSurroundings } from '../support/surroundings.ts';
import { readCpuMs, startGateway } from './gateway-under-test.ts';

const KEYS = 1_000;
const STATIC_TOKEN = 'dev-token';

/** Small, so that whatever else goes on is the same for all who take turns; and the CPU time of one can still be told. */
const BATCH = 192;
const WARM_SLICE_MS = 200;

export const CPU: Measure = { name: 'cpuUs', label: 'CPU per request', unit: 'µs' };
export const RATE: Measure = { name: 'perSecond', label: 'requests a second', unit: '/s' };
export const WAITS: readonly Measure[] = [
  { name: 'p50Ms', label: 'p50 at a fixed rate', unit: 'ms' },
  { name: 'p99Ms', label: 'p99 at a fixed rate', unit: 'ms' },
];
/** Far below what the gateway can answer. */
export const FIXED_PER_SECOND = 1_000;
/** Of the process that all of them use. */
export const GATEWAY = 'gateway';
export const MEMORY: readonly Measure[] = [
  { name: 'idleMb', label: 'RSS before the first request', unit: 'MB' },
  { name: 'busyMb', label: 'RSS after all of them', unit: 'MB' },
  { name: 'settledMb', label: 'RSS then, without garbage', unit: 'MB' },
];
const SETTLE_BOUND_MS = 60_000;

export interface CostEffort {
  readonly warmMs: number;
  readonly measureMs: number;
  /** How often, and how long, each sends at the fixed rate. */
  readonly pacedTurns: number;
  readonly pacedMs: number;
}

/**
 * One round: what a request costs with each kind of credential, and with none where authentication is taken out. All go
 * to one process and take turns in small batches. None goes twice, as `open` and `openAgain`: how much they differ tells
 * how far a difference can be trusted.
 */
export async function measureCredentials(
  stage: Stage,
  { warmMs, measureMs, pacedTurns, pacedMs }: CostEffort,
): Promise<{ round: Round; othersCores: number }> {
  try {
    const { backendPort, askBackend, send } = await startSurroundings(stage);
    const keys = mintKeys(KEYS);
    const keysWithQuota = mintKeys(KEYS);
    await askBackend({ know: { keyHashes: keys.map(hashKey), isLimited: false } });
    await askBackend({ know: { keyHashes: keysWithQuota.map(hashKey), isLimited: true } });
    const gateway = startGateway(stage, backendPort, {
      cacheEntries: 2 * KEYS,
      nodeFlags: ['--import=./bench/peers/open-gateway.ts'],
    });
    const port = await gateway.port();
    const idleMb = (await readRssBytes(gateway.pid)) / 1e6;
    const contenders = [
      { name: 'open', tokens: [''] },
      { name: 'openAs', tokens: keys.map((_, index) => `as:user-${index}`) },
      { name: 'key', tokens: keys },
      { name: 'openAgain', tokens: [''] },
      { name: 'keyWithQuota', tokens: keysWithQuota },
      { name: 'staticToken', tokens: [STATIC_TOKEN] },
    ].map((contender) => ({
      ...contender,
      cpuUs: [] as number[],
      wallMs: [] as number[],
      p50Ms: [] as number[],
      p99Ms: [] as number[],
    }));

    const sendCrowd = async (tokens: readonly string[], forMs?: number) => {
      const { crowd } = await send(port, { crowd: { tokens, clients: CLIENTS }, ...(forMs && { forMs }) });
      assertStatus(crowd, 200);
      return crowd;
    };
    const expectLookups = async (expected: number) => {
      const { lookups } = await askBackend({ lookups: true });
      if (lookups !== expected) throw new Error(`${expected} keys were to be looked up, not ${lookups}`);
    };

    for (const { tokens } of contenders) await stage.turn(() => sendCrowd(tokens));
    await expectLookups(2 * KEYS);
    const warmUntil = performance.now() + warmMs;
    while (performance.now() < warmUntil) {
      for (const { tokens } of contenders) await stage.turn(() => sendCrowd(tokens, WARM_SLICE_MS));
    }
    const readOthersCores = stage.watchOthers();
    const measureUntil = performance.now() + measureMs;
    for (let turn = 0; performance.now() < measureUntil; turn++) {
      for (const [place] of contenders.entries()) {
        // Each comes in every place, and every other time the other way round: no one always pays for the same one's garbage.
        const step = turn % 2 === 0 ? place : contenders.length - 1 - place;
        const { tokens, cpuUs, wallMs } = contenders[(step + turn) % contenders.length]!;
        const batch = Array.from({ length: BATCH }, (_, index) => tokens[(turn * BATCH + index) % tokens.length]!);
        await stage.turn(async () => {
          const before = await readCpuMs(gateway);
          const { perSecond } = await sendCrowd(batch);
          cpuUs.push((((await readCpuMs(gateway)) - before) * 1000) / BATCH);
          wallMs.push(1000 / perSecond);
        });
      }
    }
    for (let turn = 0; turn < pacedTurns; turn++) {
      for (const { tokens, p50Ms, p99Ms } of turn % 2 === 0 ? contenders : contenders.toReversed()) {
        const paced = { callers: { tokens, perSecond: FIXED_PER_SECOND }, forMs: pacedMs };
        const { callers } = await stage.turn(() => send(port, paced));
        assertStatus(callers, 200);
        p50Ms.push(callers.p50Ms);
        p99Ms.push(callers.p99Ms);
      }
    }
    const othersCores = readOthersCores();
    await expectLookups(0);
    const busyMb = (await readRssBytes(gateway.pid)) / 1e6;
    await stage.turn(() => gateway.ask({ settle: true }, SETTLE_BOUND_MS));
    const settledMb = (await readRssBytes(gateway.pid)) / 1e6;
    const numbers = contenders.map(({ name, cpuUs, wallMs, p50Ms, p99Ms }) => {
      const perSecond = 1000 / meanOfLowerHalf(wallMs);
      const waits = { p50Ms: median(p50Ms), p99Ms: median(p99Ms) };
      return [name, { cpuUs: meanOfLowerHalf(cpuUs), perSecond, ...waits, batches: cpuUs.length }] as const;
    });
    const round = { ...Object.fromEntries(numbers), [GATEWAY]: { idleMb, busyMb, settledMb } };
    return { round, othersCores };
  } finally {
    await stage.clear();
  }
}

/** Whoever else uses the machine only ever adds to a number: the batches in which they did are left out. */
function meanOfLowerHalf(values: readonly number[]): number {
  const lower = values.toSorted((a, b) => a - b).slice(0, Math.ceil(values.length / 2));
  return lower.reduce((sum, value) => sum + value, 0) / lower.length;
}
