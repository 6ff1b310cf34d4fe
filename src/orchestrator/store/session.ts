import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Log } from '../../shared/log.ts';
import { KEEPALIVE_DELAY_MS } from './database.ts';

const RECONNECT_DELAY_MS = 1_000;

export interface Session {
  readonly isConnected: () => boolean;
  readonly close: () => Promise<void>;
}

export interface SessionParts {
  readonly databaseUrl: string;
  /** For the log. */
  readonly purpose: string;
  /** Makes a new connection fit for its purpose; when it throws, the connection is given up. `closing` ends its waits. */
  readonly prepare: (client: pg.Client, closing: AbortSignal) => Promise<void>;
  readonly log: Log;
}

/** Keeps one connection of its own open, and opens another when it is lost. Throws when the first cannot be opened. */
export async function keepSession({ databaseUrl, purpose, prepare, log }: SessionParts): Promise<Session> {
  let current: pg.Client | undefined;
  let reopening: Promise<void> | undefined;
  const closing = new AbortController();

  async function open(): Promise<void> {
    const client = new pg.Client({
      connectionString: databaseUrl,
      connectionTimeoutMillis: 5_000,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEPALIVE_DELAY_MS,
      application_name: `foldforge-orchestrator ${purpose}`,
    });
    const giveUp = () => {
      client.end().catch(() => {});
    };
    let ended = false;
    // Without a listener a lost connection would end the process; `end` follows in any case.
    client.on('error', (error) => log.debug({ err: error, purpose }, 'session failed'));
    client.once('end', () => {
      ended = true;
      if (current !== client) return;
      current = undefined;
      if (!closing.signal.aborted) reopening = reopen();
    });
    closing.signal.addEventListener('abort', giveUp);
    try {
      await client.connect();
      await prepare(client, closing.signal);
      closing.signal.throwIfAborted();
      if (ended) throw new Error('the session was lost while it was being prepared');
      current = client;
    } catch (error) {
      giveUp();
      throw error;
    } finally {
      closing.signal.removeEventListener('abort', giveUp);
    }
  }

  async function reopen(): Promise<void> {
    log.warn({ purpose }, 'lost a database session; opening another');
    while (!closing.signal.aborted) {
      try {
        await sleep(RECONNECT_DELAY_MS, undefined, { signal: closing.signal });
        await open();
        log.info({ purpose }, 'the database session is back');
        return;
      } catch (error) {
        if (!closing.signal.aborted) log.debug({ err: error, purpose }, 'no database session yet');
      }
    }
  }

  await open();
  return {
    isConnected: () => current !== undefined,
    async close() {
      closing.abort();
      await reopening;
      await current?.end().catch(() => {});
    },
  };
}
