import type { Log } from '../shared/log.ts';
import type { Presence } from './engine/presence.ts';
import type { Database } from './store/database.ts';

const PING_TIMEOUT_MS = 2_000;

export interface ReadinessParts {
  readonly database: Pick<Database, 'ping'>;
  readonly presence: Pick<Presence, 'isAlive'>;
  /** Aborts when the program stops. */
  readonly closing: AbortSignal;
  readonly log: Log;
}

export interface Readiness {
  /** Why calls should go elsewhere; undefined when this orchestrator can do its work. */
  readonly findFault: () => Promise<string | undefined>;
}

/** Ready is who is not stopping, whose database answers, and whom the others do not take for dead. Each change is logged. */
export function createReadiness({ database, presence, closing, log }: ReadinessParts): Readiness {
  let lastFault: string | undefined;

  async function look(): Promise<string | undefined> {
    if (closing.aborted) return 'shutting down';
    if (!presence.isAlive()) return 'the database has not answered for seconds';
    try {
      await database.ping(PING_TIMEOUT_MS);
      return undefined;
    } catch (error) {
      return `the database does not answer: ${(error as Error).message}`;
    }
  }

  return {
    async findFault() {
      const fault = await look();
      if (fault && !lastFault) log.warn({ reason: fault }, 'not ready');
      if (!fault && lastFault) log.info('ready again');
      lastFault = fault;
      return fault;
    },
  };
}
