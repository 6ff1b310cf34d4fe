import type { Call, Caller } from '../context.ts';
import { GatewayError } from '../errors.ts';
import type { Orchestrator } from '../upstream/orchestrator.ts';
import { secondsUntil } from '../wire/scalars.ts';
import { refused } from './api-keys.ts';

/** Retry-After for an orchestrator that does not say when the window ends, in seconds. */
const UNKNOWN_WINDOW_SECONDS = 60;

export interface Quota {
  /** Counts one submission of an API-key caller; the static token has no quota. Throws QUOTA_EXCEEDED or a 401. */
  readonly consume: (caller: Caller, call: Call) => Promise<void>;
}

export function createQuota(
  orchestrator: Pick<Orchestrator, 'consumeQuota'>,
  apiKeys: { forget(keyHash: string): void },
): Quota {
  return {
    async consume({ keyHash }, call) {
      if (keyHash === undefined) return;
      const { allowed, limit, used, denyReason, resetsAt } = await orchestrator.consumeQuota({ keyHash }, call);
      if (allowed) return;
      if (limit > 0n && used >= limit && !/revoked|expired/i.test(denyReason)) {
        throw new GatewayError('QUOTA_EXCEEDED', `the quota of ${limit} submissions is used up`, {
          retryAfterSeconds: resetsAt ? secondsUntil(resetsAt) : UNKNOWN_WINDOW_SECONDS,
        });
      }
      // No limit was reached, so it is the key that was refused: revoked since it was remembered.
      apiKeys.forget(keyHash);
      throw refused(denyReason);
    },
  };
}
