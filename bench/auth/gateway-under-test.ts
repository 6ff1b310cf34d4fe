import type { BackendAnswer, BackendMessage } from '../support/backend.ts';
import type { RequestsAnswer, RequestsMessage, Tally } from '../support/requests.ts';
import type { SelfReportAnswer, SelfReportMessage } from '../support/self-report.ts';
import type { Program, Stage } from '../support/stage.ts';

/** How many send as fast as they can. */
export const CLIENTS = 64;

/** The longest flood on a machine that others use as well. */
const BOUND_MS = 300_000;
const SELF_REPORT_BOUND_MS = 30_000;

/** Longer than any run: how long a key is remembered is not what is measured. */
const CACHE_TTL_SECONDS = 3_600;

/** Starts the gateway as in production, but that it can be asked about itself, and for what `nodeFlags` add. */
export function startGateway(
  stage: Stage,
  backendPort: number,
  { cacheEntries, nodeFlags = [] }: { readonly cacheEntries: number; readonly nodeFlags?: readonly string[] },
): Program {
  return stage.start('src/bin/gateway.ts', {
    place: 'tested',
    nodeFlags: ['--max-semi-space-size=32', '--expose-gc', '--import=./bench/support/self-report.ts', ...nodeFlags],
    env: {
      FOLDFORGE_GATEWAY__BIND_ADDR: '127.0.0.1:0',
      FOLDFORGE_GATEWAY__ORCHESTRATOR_ENDPOINT: `http://127.0.0.1:${backendPort}`,
      FOLDFORGE_GATEWAY__API_KEYS_ENABLED: 'true',
      FOLDFORGE_GATEWAY__AUTH_CACHE_TTL_SECONDS: String(CACHE_TTL_SECONDS),
      FOLDFORGE_GATEWAY__AUTH_CACHE_MAX_ENTRIES: String(cacheEntries),
    },
  });
}

/** User and system time so far. */
export async function readCpuMs(gateway: Program): Promise<number> {
  const answer = await gateway.ask<SelfReportAnswer>({ cpu: true } satisfies SelfReportMessage, SELF_REPORT_BOUND_MS);
  return answer.cpuMs;
}

/** Starts the backend with one workflow, and what sends requests for it. */
export async function startSurroundings(stage: Stage) {
  const backend = stage.start('bench/support/backend.ts', { place: 'rest' });
  const load = stage.start('bench/support/requests.ts', { place: 'rest' });
  const askBackend = (message: BackendMessage) => backend.ask<BackendAnswer>(message, BOUND_MS);
  const backendPort = await backend.port();
  const { workflowIds } = await askBackend({ hold: 1 });
  const path = `/v1/workflows/${workflowIds[0]}`;
  return {
    backendPort,
    askBackend,

    send(port: number, traffic: Omit<RequestsMessage['send'], 'port' | 'path'>): Promise<RequestsAnswer> {
      return load.ask({ send: { port, path, ...traffic } } satisfies RequestsMessage, BOUND_MS);
    },
  };
}

/** Throws unless every answer had this status. */
export function assertStatus({ requests, statuses }: Tally, expected: number): void {
  if (statuses[expected] === requests && requests > 0) return;
  throw new Error(`every one of ${requests} answers had to have the status ${expected}: ${JSON.stringify(statuses)}`);
}
