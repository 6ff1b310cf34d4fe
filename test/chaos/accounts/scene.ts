import { createHash } from 'node:crypto';
import pg from 'pg';
import { runApikeyCommand } from '../../../src/orchestrator/accounts/apikey-command.ts';
import { connect } from '../../orchestrator/harness.ts';
import { settingsFor } from '../../orchestrator/program.ts';
import type { TestObjectStore } from '../../support/object-store.ts';
import { startReplica } from '../../support/replica.ts';
import { startTcpCable } from '../../support/tcp-cable.ts';
import type { Promised } from './evidence.ts';
import { installCommitGate } from './locks.ts';
import { type Plan, PRICE, WINDOW_SECONDS } from './plan.ts';
import { startRestartable } from './restartable.ts';
import { startWithoutAccept } from './without-accept.ts';

/** A name by which the run's own sessions are told from those that it ends. */
export const SESSION_NAME = 'chaos';
const STATIC_TOKEN = 'dev-token';

export interface SceneOptions {
  readonly plan: Plan;
  readonly promise: Promised;
  readonly databaseUrl: string;
  readonly objectStore: TestObjectStore;
}

export type Scene = Awaited<ReturnType<typeof startScene>>;

/**
 * A real orchestrator on a real database, two gateways, the cable between them, and the keys and credits of the plan. For
 * the promise `base`, AcceptWorkflow is unknown at the gateways' end of the cable.
 */
export async function startScene(options: SceneOptions) {
  const opened: (() => Promise<unknown>)[] = [];
  /** Remembers how to close a part, also one that is still being opened when another fails. */
  function open<P>(opening: Promise<P>, close: (part: P) => Promise<unknown>): Promise<P> {
    opened.push(() => opening.then(close));
    return opening;
  }
  async function close(): Promise<void> {
    await Promise.allSettled(opened.splice(0).map((closePart) => closePart()));
  }
  try {
    return { ...(await openParts(options, open)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function openParts(
  { plan, promise, databaseUrl, objectStore }: SceneOptions,
  open: <P>(opening: Promise<P>, close: (part: P) => Promise<unknown>) => Promise<P>,
) {
  const kill = (program: { end(signal: 'SIGKILL'): Promise<void> }) => program.end('SIGKILL');
  const orchestratorSettings = {
    ...settingsFor(databaseUrl, objectStore),
    MOCK_STEP_SECONDS: '0.05',
    BILLING_ENABLED: 'true',
    PRICE_PER_STEP: String(PRICE),
  };
  const orchestrator = await open(startRestartable(orchestratorSettings), kill);
  const closePart = (part: { close(): Promise<void> }) => part.close();
  const cable = await open(
    startTcpCable(() => [orchestrator.port()]),
    closePart,
  );
  const upstream = promise === 'base' ? await open(startWithoutAccept(cable.port), closePart) : cable;
  const settings = {
    ORCHESTRATOR_ENDPOINT: `http://127.0.0.1:${upstream.port}`,
    ORCHESTRATOR_RPC_TIMEOUT_SECONDS: '3',
    API_KEYS_ENABLED: 'true',
    AUTH_CACHE_TTL_SECONDS: '2',
    SHUTDOWN_DELAY_SECONDS: '0.1',
    SHUTDOWN_GRACE_SECONDS: '4',
  };
  const openSession = () => open(connectSession(databaseUrl), (session) => session.end());
  const [tokens, replicas, observer, holder] = await Promise.all([
    createKeys(plan, databaseUrl),
    Promise.all([open(startReplica(settings), kill), open(startReplica(settings), kill)]),
    openSession(),
    openSession(),
    grantCredits(plan, orchestrator.port()),
  ]);
  await installCommitGate(observer);

  return {
    databaseUrl,
    orchestrator,
    replicas,
    cable,
    /** By caller. */
    tokens,
    /** SHA-256 by caller, in lower-case hex. */
    keyHashes: tokens.map((token) => createHash('sha256').update(token).digest('hex')),
    gateways: () => replicas.map(({ port }) => `http://127.0.0.1:${port()}`),
    /** A session of the database to look around and to end others with. */
    observer,
    /** One that holds locks. */
    holder,
    /** Lets the gateways finish, then the orchestrator; answers with what they had to say, which should be nothing. */
    async finish(): Promise<string[]> {
      const gateways = await Promise.allSettled(replicas.map((replica) => replica.end('SIGTERM')));
      const last = await Promise.allSettled([orchestrator.end('SIGTERM')]);
      const failed = [...gateways, ...last].filter((end) => end.status === 'rejected');
      return failed.map(({ reason }) => (reason as Error).message);
    },
  };
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

async function connectSession(databaseUrl: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: databaseUrl, application_name: SESSION_NAME });
  await client.connect();
  return client;
}
