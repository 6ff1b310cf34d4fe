import { Writable } from 'node:stream';
import { GATEWAY_PREFIX, readGatewayConfig } from '../../src/gateway/config.ts';
import { readContract } from '../../src/gateway/contract.ts';
import { type GatewayParts, startGateway } from '../../src/gateway/gateway.ts';
import type { Pages } from '../../src/gateway/pages.ts';
import { createStandings } from '../../src/gateway/upstream/http2/standing.ts';
import { createLog, type Log } from '../../src/shared/log.ts';
import type { Tracing } from '../../src/shared/tracing.ts';
import { checkAnswer } from './contract-check.ts';

export const CONTRACT = readContract(new URL('../../openapi.yaml', import.meta.url));
export const ADMIN = { Authorization: 'Bearer dev-token' };

/** Of orchestrators that are asked whatever they have answered before, for tests of one answer after the other. */
export const createIndulgence = () => createStandings({ limit: Number.POSITIVE_INFINITY });

export type TestGateway = Awaited<ReturnType<typeof startTestGateway>>;

/** The gateway on a free port; every answer that `request` gets is held against openapi.yaml. */
export async function startTestGateway(
  settings: Readonly<Record<string, string>> = {},
  pages?: Pages,
  tracing?: (log: Log) => Promise<Tracing | undefined>,
  parts: Pick<GatewayParts, 'storeGuards' | 'standings'> = {},
) {
  const logLines: string[] = [];
  const destination = new Writable({
    write(chunk, _encoding, done) {
      logLines.push(String(chunk));
      done();
    },
  });
  const environment = {
    BIND_ADDR: '127.0.0.1:0',
    SHUTDOWN_DELAY_SECONDS: '0',
    SHUTDOWN_GRACE_SECONDS: '3',
    // Readiness is looked at when a test asks, and not again: what a test counts is its own calls.
    READINESS_PERIOD_SECONDS: '3600',
    // A machine that is busy with other tests is slow, which is no reason to refuse anything.
    IN_FLIGHT_MIN: '1000',
    LOG_LEVEL: 'debug',
    ...settings,
  };
  const config = readGatewayConfig(
    Object.fromEntries(Object.entries(environment).map(([name, value]) => [GATEWAY_PREFIX + name, value])),
  );
  const log = createLog('gateway', config.LOG_LEVEL, destination);
  const gateway = await startGateway(config, {
    log,
    contract: CONTRACT,
    pages,
    tracing: await tracing?.(log),
    ...parts,
  });
  const url = `http://127.0.0.1:${gateway.port}`;

  /**
   * Sends a request as the admin unless `headers` say otherwise (an empty Authorization: as nobody), and checks the answer
   * against the contract.
   */
  async function request(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers({ ...ADMIN, ...init.headers });
    if (headers.get('authorization') === '') headers.delete('authorization');
    const response = await fetch(url + path, { ...init, headers });
    await checkAnswer(CONTRACT, init.method ?? 'GET', path, response);
    return response;
  }

  return {
    url,
    port: gateway.port,
    close: gateway.close,
    logLines,
    request,
    post: (path: string, body: unknown, headers: Record<string, string> = {}) =>
      request(path, {
        method: 'POST',
        body: JSON.stringify(body),
        headers: { 'Content-Type': 'application/json', ...headers },
      }),
  };
}
