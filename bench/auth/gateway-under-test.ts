import type { Program } from '../support/program.ts';
import type { SelfReportAnswer, SelfReportMessage } from '../support/self-report.ts';
import type { Stage } from '../support/stage.ts';

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
