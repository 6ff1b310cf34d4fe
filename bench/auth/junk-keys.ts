import { hashKey, mintKeys, mintOpaqueTokens, spoilKeys } from '../support/api-keys.ts';
import { readRssBytes } from '../support/process-usage.ts';
import type { Stage } from '../support/stage.ts';
import { assertStatus, CLIENTS, startSurroundings } from '../support/surroundings.ts';
import type { Tally } from '../support/tally.ts';
import { readCpuMs, startGateway } from './gateway-under-test.ts';

/** Good keys that come in all the time, and how long each wait for an answer is. */
export const CALLS_PER_SECOND = 100;
const SETTLE_BOUND_MS = 60_000;

export interface JunkEffort {
  readonly goodKeys: number;
  readonly junkKeys: number;
  /** How long each look at what is before the floods takes. */
  readonly beforeMs: number;
}

/** What was measured in one situation. */
export interface Situation {
  readonly requestsPerSecond?: number;
  readonly cpuUs?: number;
  readonly lookups?: number;
  readonly lookupsOfOneKey?: number;
  readonly lookupsOfGoodKeys?: number;
  readonly growthMb?: number;
  readonly callP50Ms: number;
  readonly callP99Ms: number;
}

/** Before the floods, and in each of them. */
export type Situations = Readonly<Record<'calls alone' | 'good keys' | 'wrong checksums' | 'unknown keys', Situation>>;

/**
 * Floods one gateway whose cache is full of good keys with junk, which nobody was ever given, while a few calls with good
 * keys go on; and afterwards looks whether every good key is still remembered.
 */
export async function floodWithJunk(stage: Stage, effort: JunkEffort): Promise<Situations> {
  try {
    const { backendPort, askBackend, send } = await startSurroundings(stage);
    const goodKeys = mintKeys(effort.goodKeys);
    await askBackend({ know: { keyHashes: goodKeys.map(hashKey), isLimited: false } });
    const gateway = startGateway(stage, backendPort, { cacheEntries: effort.goodKeys });
    const port = await gateway.port();
    const crowdOf = (tokens: readonly string[]) => ({ tokens, clients: CLIENTS });
    const callers = { tokens: goodKeys, perSecond: CALLS_PER_SECOND };

    const sendGoodKeys = async () => {
      assertStatus((await send(port, { crowd: crowdOf(goodKeys) })).crowd, 200);
      return (await askBackend({ lookups: true })).lookups;
    };

    const readSettledRss = async () => {
      await gateway.ask({ settle: true }, SETTLE_BOUND_MS);
      return readRssBytes(gateway.pid);
    };

    /** A crowd for so long, or with each of its tokens once, and the callers with it. */
    const measure = async (tokens: readonly string[], status: number, forMs?: number) => {
      const cpuMs = await readCpuMs(gateway);
      const traffic = { crowd: crowdOf(tokens), callers, ...(forMs !== undefined && { forMs }) };
      const answer = await send(port, traffic);
      assertStatus(answer.crowd, status);
      assertStatus(answer.callers, 200);
      const requests = answer.crowd.requests + answer.callers.requests;
      return {
        requestsPerSecond: answer.crowd.perSecond,
        cpuUs: (((await readCpuMs(gateway)) - cpuMs) * 1000) / requests,
        ...describeCalls(answer.callers),
      };
    };

    const flood = async (junk: readonly string[]): Promise<Situation> => {
      const before = await readSettledRss();
      const measured = await measure(junk, 401);
      const { lookups, lookupsOfOneKey } = await askBackend({ lookups: true });
      const lookupsOfGoodKeys = await sendGoodKeys();
      const growthMb = ((await readSettledRss()) - before) / 1e6;
      return { ...measured, lookups, lookupsOfOneKey, lookupsOfGoodKeys, growthMb };
    };

    const filled = await sendGoodKeys();
    if (filled !== goodKeys.length) throw new Error(`${goodKeys.length} new keys took ${filled} lookups`);
    // Twice: the first time warms up.
    await measure(goodKeys, 200, effort.beforeMs);
    const goodLoad = await measure(goodKeys, 200, effort.beforeMs);
    const { callers: calls } = await send(port, { callers, forMs: effort.beforeMs });
    assertStatus(calls, 200);
    const half = Math.floor(effort.junkKeys / 2);
    return {
      'calls alone': describeCalls(calls),
      'good keys': goodLoad,
      'wrong checksums': await flood(spoilKeys(mintKeys(effort.junkKeys))),
      'unknown keys': await flood([...mintKeys(half), ...mintOpaqueTokens(effort.junkKeys - half)]),
    };
  } finally {
    await stage.clear();
  }
}

function describeCalls({ p50Ms, p99Ms }: Tally): Pick<Situation, 'callP50Ms' | 'callP99Ms'> {
  return { callP50Ms: p50Ms, callP99Ms: p99Ms };
}
