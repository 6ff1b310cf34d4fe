import type { DLogger } from '@dbos-inc/dbos-sdk';
import type { Log } from '../../shared/log.ts';

export const APPLICATION = 'foldforge-orchestrator';
/** Raised only when a step that an older program has begun could not be finished by a newer one. */
export const VERSION = 'wf-v1';
export const QUEUE = 'steps';
export const STEP_WORKFLOW = 'step';

/**
 * The durable execution library's own words, one level down: what it calls news is daily business here. The
 * line with the database's URL is left out, because not every form of a password in it would be masked.
 */
export function createDbosLog(log: Log): DLogger {
  const child = log.child({ part: 'dbos' });
  return {
    debug: () => {},
    info: (entry) => {
      if (!/database url/i.test(String(entry))) child.debug(String(entry));
    },
    warn: (entry) => child.info(String(entry)),
    error: (entry, metadata) => child.error({ err: metadata?.error }, String(entry)),
  };
}
