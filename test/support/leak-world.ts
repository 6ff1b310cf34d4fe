import { createHash } from 'node:crypto';
import { createStreamTickets } from '../../src/gateway/access/stream-tickets.ts';
import type { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { OrchestratorService } from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { createNoGuards } from './artifact-records.ts';
import { createCanaries, NOWHERE } from './canaries.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from './fake-orchestrator.ts';
import { startFakeStripe, stripeSettings } from './fake-stripe.ts';
import { createIndulgence, startTestGateway } from './gateway.ts';
import { FILE_KEY, startLeakyStore } from './leaky-store.ts';
import { startOtlpCollector, tracingTo } from './otlp-collector.ts';
import { plantSecrets } from './planted-secrets.ts';
import { exchange, type RawAnswer, type RawRequest, requestText } from './raw-http.ts';
import { until } from './waiting.ts';

export type RpcName = Parameters<FakeOrchestrator['onCall']>[0];
export type LeakWorld = Awaited<ReturnType<typeof startLeakWorld>>;
type Fault = (rpc: RpcName) => unknown;

const PAGE = { type: 'text/html', body: Buffer.from('<!doctype html>'), gzip: undefined, digest: 'none' };
const PAGES = { docs: new Map([['index.html', PAGE]]), console: new Map([['index.html', PAGE]]) };

interface Circumstances {
  readonly fault?: Fault;
  readonly leave?: Promise<unknown>;
}

export const RPCS = [...Object.keys(OrchestratorService.method), 'check'] as RpcName[];
const BUCKET = 'leaks';
const AT_A_TIME = 24;
/** What no answer and no header may show: where our code lies, and that it is JavaScript. */
const STACK = /node_modules|node:internal|\bat \S+ \(|\.[jt]s:\d+/;

/**
 * A gateway all of whose secrets are canaries, between an orchestrator, a store and a payment provider that tell too
 * much. Whatever comes out of it is scanned. `accounts`: the orchestrator knows our additions to the contract;
 * `unreachable`: it is looked for under a name that nobody has; `timeoutSeconds`: how long it may be silent.
 */
export async function startLeakWorld({ accounts = true, unreachable = false, timeoutSeconds = 3 } = {}) {
  const canaries = createCanaries();
  const { data, tokens, ticketSecrets, storeKeys } = plantSecrets(canaries, accounts);
  const file = `${data.file} ${'ATOM '.repeat(2_000)}`;
  const fake = await startFakeOrchestrator({ health: true, replay: true, accounts });
  const store = await startLeakyStore(canaries, file);
  const stripe = await startFakeStripe();
  const collector = await startOtlpCollector();
  canaries.watch('the address of the orchestrator', new URL(fake.endpoint).host, { may: ['log', 'orchestrator'] });
  canaries.watch('the address of Stripe', new URL(stripe.url).host, { may: ['log', 'trace', 'stripe'] });
  canaries.watch('the address of the store', store.address, { may: ['log', 'store'] });

  /** A key of the orchestrator's; `minted` ones have the form of ours. */
  function addKey(name: string, { minted = true, known = true, denyReason = '', readOnly = false } = {}): string {
    const key = minted ? canaries.plantKey(name, NOWHERE) : canaries.plant(name, NOWHERE);
    canaries.watchHash(name, key, { must: ['orchestrator'] });
    const entry = { principal: data.principal, limit: 1_000_000n, used: 0n, keyId: data.keyId, readOnly };
    const hash = createHash('sha256').update(key).digest('hex');
    if (known) fake.keys.set(hash, { ...entry, ...(denyReason && { denyReason }) });
    return key;
  }
  const good = { minted: addKey('a good key'), opaque: addKey('a good key of an older form', { minted: false }) };

  const settings = {
    ORCHESTRATOR_ENDPOINT: unreachable ? `http://${data.host}:50051` : fake.endpoint,
    ORCHESTRATOR_RPC_TIMEOUT_SECONDS: String(timeoutSeconds),
    UPSTREAM_LOSS_SECONDS: '0.25',
    READINESS_PERIOD_SECONDS: '0.05',
    READINESS_FAILURE_THRESHOLD: '1',
    API_TOKEN: tokens.join(),
    API_KEYS_ENABLED: 'true',
    AUTH_CACHE_TTL_SECONDS: '0.2',
    HEARTBEAT_SECONDS: '0.1',
    STREAM_TICKET_SECRETS: ticketSecrets.join(),
    R2_ENDPOINT: `http://${store.address}`,
    R2_BUCKET: BUCKET,
    ...storeKeys,
    OBJECT_STORE_READ_TIMEOUT_SECONDS: '1',
    BODY_LIMIT_BYTES: '4096',
    ...stripeSettings(stripe),
  };
  // JSON, in which numbers are text, too.
  const tracing = tracingTo(collector, { OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' });
  const gateway = await startTestGateway({ ...settings, CONSOLE_ENABLED: 'true' }, PAGES, tracing, {
    standings: createIndulgence(),
    // Each failure is to be met, and not left out because of those before.
    storeGuards: createNoGuards(),
  });

  /** What becomes of the calls of a request, by its id; `''`: of those without one. */
  const faults = new Map<string, Fault>();
  for (const rpc of RPCS) {
    fake.onCall(rpc, () => faults.get(fake.calls.at(-1)!.headers.get('x-request-id') ?? '')?.(rpc));
  }

  const seen = { logLines: 0, traces: 0, calls: 0, stored: 0, sold: 0 };
  const unlogged = new Set<string>();
  let asked = 0;

  /**
   * Sends a request under an id of its own, and scans the answer. `fault` is what becomes of its calls; once `leave`
   * settles the client goes away.
   */
  async function ask(request: RawRequest, { fault, leave }: Circumstances = {}): Promise<RawAnswer> {
    const requestId = `${data.requestId}-${asked++}`;
    if (fault) faults.set(requestId, fault);
    const answer = await send(
      requestText({ ...request, headers: { 'X-Request-Id': requestId, ...request.headers } }),
      leave,
    );
    // What the server itself refuses never became a request to the gateway.
    if (leave || answer.head.includes(requestId)) unlogged.add(requestId);
    return answer;
  }

  /** The same for a request that is written out, and may never get so far that it is logged. */
  async function send(text: string, leave?: Promise<unknown>): Promise<RawAnswer> {
    const answer = await exchange(gateway.port, text, { leave });
    canaries.scan('header', answer.head);
    canaries.scan('body', answer.body);
    const told = STACK.exec(answer.head) ?? STACK.exec(answer.body);
    if (told) throw new Error(`${text.split('\r\n', 1)[0]} is answered with a piece of a stack trace: ${told[0]}`);
    return answer;
  }

  /** Scans what has come out since the last time, other than answers. Fails for each canary where it may not be. */
  async function settle(): Promise<void> {
    const isLogged = (line: string) => {
      const [, requestId] = /"request_id":"([^"]+)".*"msg":"request"/.exec(line) ?? [];
      if (requestId) unlogged.delete(requestId);
    };
    await until(`every request is logged: ${[...unlogged].slice(0, 3)}`, () => {
      const fresh = gateway.logLines.slice(seen.logLines);
      seen.logLines += fresh.length;
      for (const line of fresh) canaries.scan('log', line);
      fresh.forEach(isLogged);
      return unlogged.size === 0;
    });
    const metrics = await exchange(gateway.port, requestText({ target: '/metrics' }));
    canaries.scan('metrics', metrics.body);
    scanTraces();
    const calls = fake.calls.slice(seen.calls).map(({ rpc, request, headers }) => [rpc, request, [...headers]]);
    for (const call of calls) canaries.scan('orchestrator', JSON.stringify(call, exactly));
    for (const request of store.requests.slice(seen.stored)) canaries.scan('store', request);
    const sold = stripe.requests.slice(seen.sold).map(({ headers, form }) => JSON.stringify([headers, form]));
    for (const request of sold) canaries.scan('stripe', request);
    Object.assign(seen, { calls: fake.calls.length, stored: store.requests.length, sold: stripe.requests.length });
    canaries.checkLeaks();
  }

  /** Spans come in batches: what is not there yet is scanned the next time, or at the end. */
  function scanTraces(): void {
    for (const text of collector.texts.slice(seen.traces)) canaries.scan('trace', text);
    seen.traces = collector.texts.length;
  }

  /** A workflow in `state` of the principal's, with one artifact under `key`. */
  function addWorkflow(state: JobState, key: string = FILE_KEY): string {
    const record = {
      sizeBytes: BigInt(Buffer.byteLength(file)),
      sha256: 'a'.repeat(64),
      contentType: 'chemical/x-pdb',
    };
    const outputs = [{ uri: `r2://${BUCKET}/${key}`, ...record }];
    const spec = { name: data.body, labels: { project: data.body } };
    return fake.put({ spec, state, stepStatuses: [{ stepId: 'a', outputs }] }, data.principal).id;
  }

  return {
    canaries,
    data,
    tokens,
    ticketSecrets,
    good,
    fake,
    store,
    stripe,
    gateway,
    addKey,
    addWorkflow,
    ask,
    send,
    settle,
    /** What becomes of calls that are made for no request in particular. */
    failUnnamed(fault: Fault | undefined): void {
      if (fault) faults.set('', fault);
      else faults.delete('');
    },
    /** A ticket for a workflow's stream that nobody has asked for; its payload and its signature are canaries. */
    mintTicket(id: string, name: string, { secrets = ticketSecrets, now = Date.now } = {}): string {
      const { ticket } = createStreamTickets(secrets, now).mint(id, {});
      for (const part of ticket.slice(4).split('.')) canaries.watch(name, part, NOWHERE);
      return ticket;
    },
    async close(): Promise<void> {
      await gateway.close();
      await Promise.all([fake.close(), store.close(), stripe.close(), collector.close()]);
      scanTraces();
      canaries.checkLeaks();
    },
  };
}

/** Whether something went wrong, also after the first byte of an event stream. */
export function isRefusal({ status, body }: RawAnswer): boolean {
  return status >= 400 || /^event: error$/m.test(body);
}

/** Does `work` for every item, a few at a time. */
export async function forAll<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const queue = items.values();
  const worker = async () => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, worker));
}

function exactly(_name: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}
