import { createHash } from 'node:crypto';
import { runApikeyCommand } from '../../../src/orchestrator/accounts/apikey-command.ts';
import { connect } from '../../orchestrator/harness.ts';
import { settingsFor } from '../../orchestrator/program.ts';
import type { ExternalPostgres } from '../../support/external-postgres.ts';
import type { TestObjectStore } from '../../support/object-store.ts';
import { findStablePorts } from '../../support/stable-ports.ts';
import { startTcpCable } from '../../support/tcp-cable.ts';
import { createObserver } from './observer.ts';
import { startPartitionProxy } from './partition-proxy.ts';
import { GATEWAYS, ORCHESTRATORS, type Plan, PRICE, WINDOW_SECONDS } from './plan.ts';
import { startSupervised } from './supervised.ts';

const STATIC_TOKEN = 'dev-token';

export interface SceneOptions {
  readonly plan: Plan;
  readonly postgres: ExternalPostgres;
  readonly objectStore: TestObjectStore;
}

export type Scene = Awaited<ReturnType<typeof startScene>>;

/** Three orchestrators, each behind a proxy to the one database, two gateways over all of them, keys and credits. */
export async function startScene({ plan, postgres, objectStore }: SceneOptions) {
  const databaseUrl = await postgres.createDatabase();
  const opened: (() => Promise<void>)[] = [];
  const closing = (close: () => Promise<void>) => opened.push(close);
  async function close(): Promise<void> {
    await Promise.allSettled(opened.splice(0).map((closePart) => closePart()));
  }

  async function openAll() {
    const databasePort = Number(new URL(databaseUrl).port);
    const proxies = await Promise.all(Array.from({ length: ORCHESTRATORS }, () => startPartitionProxy(databasePort)));
    for (const proxy of proxies) closing(proxy.close);
    const ports = await findStablePorts(ORCHESTRATORS + GATEWAYS);
    const rpcPorts = ports.splice(0, ORCHESTRATORS);

    const orchestrators = rpcPorts.map((port, index) => {
      const settings = {
        ...settingsFor(withPort(databaseUrl, proxies[index]!.port), objectStore),
        BIND_ADDR: `127.0.0.1:${port}`,
        // Each process makes up a name of its own.
        EXECUTOR_ID: '',
        MOCK_STEP_SECONDS: '0.3',
        STEP_RETRIES: '1',
        STEP_RETRY_DELAY_SECONDS: '0.5',
        BILLING_ENABLED: 'true',
        PRICE_PER_STEP: String(PRICE),
      };
      return startSupervised(`orchestrator ${index}`, 'orchestrator', prefixed('FOLDFORGE_ORCH__', settings));
    });
    for (const orchestrator of orchestrators) closing(() => orchestrator.stop('SIGKILL'));
    await Promise.all(orchestrators.map((orchestrator) => orchestrator.whenReady()));
    const tokens = await createKeys(plan, databaseUrl);
    await grantCredits(plan, rpcPorts[0]!);

    const gateways = ports.map((port, index) => {
      const settings = {
        BIND_ADDR: `127.0.0.1:${port}`,
        ORCHESTRATOR_ENDPOINT: rpcPorts.map((rpcPort) => `http://127.0.0.1:${rpcPort}`).join(','),
        ORCHESTRATOR_RPC_TIMEOUT_SECONDS: '5',
        API_KEYS_ENABLED: 'true',
        SHUTDOWN_DELAY_SECONDS: '0.1',
        SHUTDOWN_GRACE_SECONDS: '5',
      };
      return startSupervised(`gateway ${index}`, 'gateway', prefixed('FOLDFORGE_GATEWAY__', settings));
    });
    for (const gateway of gateways) closing(() => gateway.stop('SIGKILL'));
    await Promise.all(gateways.map((gateway) => gateway.whenReady()));
    const balancer = await startTcpCable(() => ports);
    closing(balancer.close);
    const observer = createObserver(databaseUrl);
    closing(observer.close);

    return {
      postgres,
      proxies,
      orchestrators,
      gateways,
      gatewayUrls: ports.map((port) => `http://127.0.0.1:${port}`),
      balancerUrl: `http://127.0.0.1:${balancer.port}`,
      observer,
      /** By caller. */
      tokens,
      /** SHA-256 by caller, in lower-case hex. */
      keyHashes: tokens.map((token) => createHash('sha256').update(token).digest('hex')),
      /** Lets the gateways finish, then the orchestrators. */
      async finish(): Promise<void> {
        await Promise.all(gateways.map((gateway) => gateway.stop('SIGTERM')));
        await Promise.all(orchestrators.map((orchestrator) => orchestrator.stop('SIGTERM')));
      },
    };
  }

  try {
    return { ...(await openAll()), close };
  } catch (error) {
    await close();
    throw error;
  }
}

function prefixed(prefix: string, settings: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(settings).map(([name, value]) => [prefix + name, value]));
}

function withPort(databaseUrl: string, port: number): string {
  const url = new URL(databaseUrl);
  url.port = String(port);
  return url.href;
}

/** By the operator's own command. The orchestrator keeps only the hashes. */
async function createKeys({ callers }: Plan, databaseUrl: string): Promise<string[]> {
  const tokens: string[] = [];
  for (const { principal, limit } of callers) {
    if (principal === undefined) tokens.push(STATIC_TOKEN);
    else {
      const words = ['create', principal, String(limit), String(WINDOW_SECONDS)];
      await runApikeyCommand(words, { databaseUrl, print: (line) => tokens.push(line) });
    }
  }
  return tokens;
}

async function grantCredits({ credits }: Plan, port: number): Promise<void> {
  const { client, close } = connect(port);
  for (const [principal, amount] of Object.entries(credits)) {
    await client.grantCredits({ principal, amount: BigInt(amount), idempotencyKey: principal });
  }
  close();
}
