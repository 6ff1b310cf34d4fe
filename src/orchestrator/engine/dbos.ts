import type { DLogger } from '@dbos-inc/dbos-sdk';
import type { Log } from '../../shared/log.ts';
import type { ToolLimits } from '../config.ts';
import { TOOLS, type Tool } from '../runners/runner.ts';

export const APPLICATION = 'foldforge-orchestrator';
/** Raised only when a step that an older program has begun could not be finished by a newer one. */
export const VERSION = 'wf-v1';
/** Where steps wait whose tool has no limit of its own. */
export const QUEUE = 'steps';
export const STEP_WORKFLOW = 'step';

export interface Queue {
  readonly name: string;
  /** 0: none. */
  readonly limit: number;
}

/** Where the steps of a tool wait: a tool with a limit has a queue of its own. */
export function queueOf(tool: Tool, limits: ToolLimits): Queue {
  return limits[tool] > 0 ? { name: `${QUEUE}-${tool}`, limit: limits[tool] } : { name: QUEUE, limit: 0 };
}

/** Every queue that may have something in it, also from when the limits were others. */
export function allQueues(limits: ToolLimits): readonly Queue[] {
  const ofTools = TOOLS.map((tool) => ({ name: `${QUEUE}-${tool}`, limit: limits[tool] }));
  return [{ name: QUEUE, limit: 0 }, ...ofTools];
}

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
