import type { BackendAnswer, BackendMessage } from './backend.ts';
import type { Place } from './pinning.ts';
import { readCpuMs } from './process-usage.ts';
import type { RequestsAnswer, RequestsMessage } from './requests.ts';
import type { Stage } from './stage.ts';
import type { Tally } from './tally.ts';

/** How many send as fast as they can. */
export const CLIENTS = 64;

/** The longest flood on a machine that others use as well. */
const BOUND_MS = 300_000;

/** Starts the backend with one workflow, and what sends requests for it. */
export async function startSurroundings(stage: Stage, place: Place = 'rest') {
  const backend = stage.start('bench/support/backend.ts', { place });
  const load = stage.start('bench/support/requests.ts', { place });
  const askBackend = (message: BackendMessage) => backend.ask<BackendAnswer>(message, BOUND_MS);
  const backendPort = await backend.port();
  const { workflowIds } = await askBackend({ hold: 1 });
  const path = `/v1/workflows/${workflowIds[0]}`;
  return {
    backendPort,
    askBackend,

    /** What both have used so far. */
    readCpuMs: () => readCpuMs(backend.pid) + readCpuMs(load.pid),

    send(port: number, traffic: Pick<RequestsMessage['send'], 'crowd' | 'callers' | 'forMs'>): Promise<RequestsAnswer> {
      return load.ask({ send: { port, path, ...traffic } } satisfies RequestsMessage, BOUND_MS);
    },
  };
}

/** Throws unless every answer had this status. */
export function assertStatus({ requests, statuses }: Tally, expected: number): void {
  if (statuses[expected] === requests && requests > 0) return;
  throw new Error(`every one of ${requests} answers had to have the status ${expected}: ${JSON.stringify(statuses)}`);
}
