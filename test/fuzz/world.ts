import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { ensurePages } from '../../scripts/build-pages.ts';
import { findDatabaseUrl } from '../../src/bin/data-dir.ts';
import { startStack } from '../../src/bin/stack.ts';
import { GATEWAY_PREFIX } from '../../src/gateway/config.ts';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { runApikeyCommand } from '../../src/orchestrator/accounts/apikey-command.ts';
import { startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { signWebhook, startFakeStripe, stripeSettings } from '../support/fake-stripe.ts';
import { startTestGateway } from '../support/gateway.ts';
import { serve, startRawStore } from '../support/raw-store.ts';
import { createSelfSigned } from '../support/self-signed.ts';
import { createTlsFolder } from '../support/tls-folder.ts';
import { until } from '../support/waiting.ts';
import { ask } from './ask.ts';
import type { Over, Place } from './open-socket.ts';

/** A gateway and what it has, as generated requests name it. */
export interface World extends Place {
  readonly tokens: Readonly<Record<'admin' | 'key' | 'readOnly' | 'revoked', string>>;
  /** Ids of workflows, and the key of an artifact of the one that is over. */
  readonly workflows: Readonly<Record<'over' | 'failed' | 'running', string>>;
  readonly artifactKey: string;
  readonly sign: (body: Buffer) => string;
  readonly close: () => Promise<void>;
}

/**
 * How long the gateway waits for a client, in milliseconds: longer than this process, which is both, may be busy with
 * something else.
 */
export const PATIENCE_MS = 3_000;
export const BODY_LIMIT_BYTES = 65_536;
export const URL_LIMIT_BYTES = 8_192;
export const HEADER_LIMIT_BYTES = 16_384;

/** Limits on how much there may be are out of the way: what is looked for is no answer to load. */
const SETTINGS = {
  BODY_LIMIT_BYTES: String(BODY_LIMIT_BYTES),
  URL_LIMIT_BYTES: String(URL_LIMIT_BYTES),
  HEADER_LIMIT_BYTES: String(HEADER_LIMIT_BYTES),
  HEADER_TIMEOUT_SECONDS: String(PATIENCE_MS / 1_000),
  BODY_TIMEOUT_SECONDS: String(PATIENCE_MS / 1_000),
  IDLE_TIMEOUT_SECONDS: String(PATIENCE_MS / 1_000),
  SEND_TIMEOUT_SECONDS: String(PATIENCE_MS / 1_000),
  CONNECTION_MAX_REQUESTS: '500',
  IN_FLIGHT_MAX: '100000',
  PRINCIPAL_MAX_IN_FLIGHT: '100000',
  PRINCIPAL_REQUESTS_PER_SECOND: '0',
  AUTH_FAILURES_PER_MINUTE: '0',
  AUTH_MAX_LOOKUPS: '10000',
  CONNECTIONS_MAX_PER_ADDRESS: '25000',
  STREAM_MAX_PER_PRINCIPAL: '20000',
  API_KEYS_ENABLED: 'true',
  CONSOLE_ENABLED: 'true',
  SHUTDOWN_GRACE_SECONDS: '3',
  LOG_LEVEL: 'fatal',
};

const FILE = Buffer.from('ATOM      1  N   MET A   1\n'.repeat(100));
const PAGE = { type: 'text/html', body: Buffer.from('<!doctype html>'), gzip: undefined, digest: 'none' };
const PAGES = { docs: new Map([['index.html', PAGE]]), console: new Map([['index.html', PAGE]]) };

/** The gateway alone: an orchestrator in memory, a store of one file, a payment provider that sells whatever is asked for. */
export async function startSmallWorld(over: Over = 'http1'): Promise<World> {
  const certificate = createCertificate(over);
  const fake = await startFakeOrchestrator({ health: true, replay: true, accounts: true });
  const store = await startRawStore(serve(FILE));
  const stripe = await startFakeStripe();
  const tokens = { admin: 'dev-token', key: 'a-good-key', readOnly: 'a-read-only-key', revoked: 'a-revoked-key' };
  const account = { principal: 'alice', limit: 0n, used: 0n };
  fake.keys.set(hashOf(tokens.key), { ...account });
  fake.keys.set(hashOf(tokens.readOnly), { ...account, readOnly: true });
  fake.keys.set(hashOf(tokens.revoked), { ...account, denyReason: 'revoked' });

  const artifactKey = 'artifacts/model 1.pdb';
  const outputs = [
    {
      uri: `r2://foldforge/${artifactKey}`,
      sizeBytes: BigInt(FILE.length),
      sha256: createHash('sha256').update(FILE).digest('hex'),
      contentType: 'chemical/x-pdb',
    },
  ];
  const spec = { name: 'a workflow', steps: [{ id: 'fold' }] };
  const put = (id: string, state: JobState) =>
    fake.put({ id, spec, state, stepStatuses: [{ stepId: 'fold', outputs }] }, account.principal).id;
  const workflows = {
    over: put('wf-over', JobState.SUCCEEDED),
    failed: put('wf-failed', JobState.FAILED),
    running: put('wf-running', JobState.RUNNING),
  };

  const gateway = await startTestGateway(
    {
      ...SETTINGS,
      ...certificate.settings,
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      R2_ENDPOINT: store.url,
      R2_ACCESS_KEY_ID: 'x',
      R2_SECRET_ACCESS_KEY: 'x',
      ...stripeSettings(stripe),
    },
    PAGES,
  );
  return {
    port: gateway.port,
    over,
    ca: certificate.ca,
    tokens,
    workflows,
    artifactKey: encodeURI(artifactKey),
    sign: signWebhook,
    async close() {
      await gateway.close();
      await Promise.all([fake.close(), store.close(), stripe.close()]);
      certificate.close();
    },
  };
}

/** Everything that `npm start` starts: a real orchestrator on a real Postgres, and a real object store. Only Stripe is not. */
export async function startWholeWorld(over: Over = 'http1'): Promise<World> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'foldforge-fuzz-'));
  await ensurePages();
  const stripe = await startFakeStripe();
  const certificate = createCertificate(over);
  const settings = { ...SETTINGS, ...certificate.settings, ...stripeSettings(stripe), BIND_ADDR: '127.0.0.1:0' };
  const stack = await startStack(
    {
      ...Object.fromEntries(Object.entries(settings).map(([name, value]) => [GATEWAY_PREFIX + name, value])),
      FOLDFORGE_ORCH__BIND_ADDR: '127.0.0.1:0',
      FOLDFORGE_ORCH__METRICS_ADDR: '127.0.0.1:0',
      FOLDFORGE_ORCH__MOCK_STEP_SECONDS: '0',
      FOLDFORGE_ORCH__LOG_LEVEL: 'fatal',
    },
    folder,
  );
  const place: Place = { port: Number(new URL(stack.gatewayUrl).port), over, ca: certificate.ca };
  const close = async () => {
    await stack.close();
    await stripe.close();
    certificate.close();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const apikey = async (...args: string[]) => {
      const lines: string[] = [];
      await runApikeyCommand(args, { databaseUrl: findDatabaseUrl(folder)!, print: (line) => lines.push(line) });
      return lines.join('\n');
    };
    const tokens = {
      admin: 'dev-token',
      key: await apikey('create', 'alice'),
      readOnly: await apikey('create', 'alice', '--read-only'),
      revoked: await apikey('create', 'mallory'),
    };
    const [id = ''] = /^\S+(?=\tmallory\t)/m.exec(await apikey('list')) ?? [];
    await apikey('revoke', id);

    const call = async (target: string, body?: string) => {
      const { status, body: answer } = await ask(place, { target, token: tokens.key, body });
      if (status >= 400) throw new Error(`${target} is answered with ${status} ${answer}`);
      return JSON.parse(answer.toString()) as {
        readonly id: string;
        readonly state: string;
        readonly step_statuses: readonly { readonly outputs: readonly { readonly uri: string }[] }[];
      };
    };
    const submit = async (...steps: object[]) => {
      const body = JSON.stringify({ name: 'a workflow', steps });
      return (await call('/v1/workflows', body)).id;
    };
    const done = await submit({ id: 'fold', tool: 'af2', params: { sequence: 'MKV' } });
    const failed = await submit({ id: 'fold', tool: 'af2', params: { sequence: 'MKV', mock: { fail: true } } });
    const running = await submit({ id: 'fold', tool: 'af2', params: { sequence: 'MKV', mock: { seconds: 80_000 } } });
    await until('a workflow is over', async () => (await call(`/v1/workflows/${done}`)).state === 'SUCCEEDED', 20_000);
    const { step_statuses: statuses } = await call(`/v1/workflows/${done}`);
    return {
      ...place,
      tokens,
      workflows: { over: done, failed, running },
      artifactKey: encodeURI(statuses[0]!.outputs[0]!.uri.replace(/^r2:\/\/[^/]+\//, '')),
      sign: signWebhook,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** What the gateway shows its clients; nothing without TLS. */
function createCertificate(over: Over) {
  if (over === 'http1') return { settings: {}, ca: undefined, close: () => {} };
  const { cert, key } = createSelfSigned('localhost');
  const folder = createTlsFolder();
  const settings = { TLS_CERT_FILE: folder.write('tls.crt', cert), TLS_KEY_FILE: folder.write('tls.key', key) };
  return { settings, ca: cert, close: folder.close };
}

const hashOf = (token: string) => createHash('sha256').update(token).digest('hex');
