import type { Caller } from '../context.ts';
import { type GatewayError, toGatewayError } from '../errors.ts';
import { unauthenticated } from './bearer.ts';

interface Listener {
  readonly principal: string | undefined;
  readonly onRefused: (error: GatewayError) => void;
}

/**
 * Looks again and again, through the cache, whether a key is still good while requests that it opened go on. So they end
 * within the cache's TTL and `everyMs` of its revocation. None ends because nobody can say: a lost orchestrator is no
 * refusal.
 */
export function createKeyWatch(apiKeys: { resolveHash(keyHash: string): Caller | Promise<Caller> }, everyMs: number) {
  const watched = new Map<string, { readonly timer: NodeJS.Timeout; readonly listeners: Set<Listener> }>();

  async function look(keyHash: string, listeners: ReadonlySet<Listener>): Promise<void> {
    try {
      const { principal } = await apiKeys.resolveHash(keyHash);
      const isForeign = (listener: Listener) => listener.principal !== principal;
      refuse([...listeners].filter(isForeign), unauthenticated('the API key belongs to somebody else now'));
    } catch (thrown) {
      const error = toGatewayError(thrown);
      if (error.status === 401) refuse([...listeners], error);
    }
  }

  function start(keyHash: string) {
    const listeners = new Set<Listener>();
    const timer = setInterval(() => void look(keyHash, listeners), everyMs).unref();
    const entry = { timer, listeners };
    watched.set(keyHash, entry);
    return entry;
  }

  return {
    /** Calls `onRefused` once the caller's key is refused, and returns what stops the watch. Static tokens never are. */
    watch({ keyHash, principal }: Caller, onRefused: Listener['onRefused']): () => void {
      if (keyHash === undefined) return () => undefined;
      const entry = watched.get(keyHash) ?? start(keyHash);
      const listener = { principal, onRefused };
      entry.listeners.add(listener);
      return () => {
        if (!entry.listeners.delete(listener) || entry.listeners.size > 0) return;
        clearInterval(entry.timer);
        watched.delete(keyHash);
      };
    },
  };
}

function refuse(listeners: readonly Listener[], error: GatewayError): void {
  for (const { onRefused } of listeners) onRefused(error);
}
