import { GatewayError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';

export type TransferSlots = ReturnType<typeof createTransferSlots>;

interface Parts {
  /** Transfers at the same time. */
  readonly most: number;
  readonly metrics: Pick<Metrics, 'transfers'>;
}

/**
 * The bulkhead between downloads and everything else: a store that hangs, and clients that take their files slowly, hold so
 * many requests, sockets and buffers, and no more. One principal has half of the slots at most. Nobody waits for a slot: a
 * queue would be memory, too.
 */
export function createTransferSlots({ most, metrics }: Parts) {
  const mostOfOne = Math.ceil(most / 2);
  const takenBy = new Map<string | undefined, number>();
  let taken = 0;

  function change(principal: string | undefined, by: 1 | -1): void {
    taken += by;
    metrics.transfers.set(taken);
    const left = (takenBy.get(principal) ?? 0) + by;
    if (left === 0) takenBy.delete(principal);
    else takenBy.set(principal, left);
  }

  return {
    /**
     * Settles with `work`, which holds a slot meanwhile. Throws OVERLOADED when there is none, and TOO_MANY_REQUESTS when the
     * principal has its half; undefined stands for the static token, which may have all.
     */
    async hold<T>(principal: string | undefined, work: () => Promise<T>): Promise<T> {
      if (taken >= most) refuse('OVERLOADED', `${most} downloads are open already`);
      if (principal !== undefined && (takenBy.get(principal) ?? 0) >= mostOfOne) {
        refuse('TOO_MANY_REQUESTS', `${mostOfOne} downloads of yours are open already; wait for one first`);
      }
      change(principal, 1);
      try {
        return await work();
      } finally {
        change(principal, -1);
      }
    },
  };
}

function refuse(code: 'OVERLOADED' | 'TOO_MANY_REQUESTS', message: string): never {
  throw new GatewayError(code, message, { isRefusal: true });
}
