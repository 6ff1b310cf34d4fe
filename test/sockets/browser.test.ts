import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { Code, ConnectError } from '@connectrpc/connect';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { type BrowserProxy, startBrowserProxy } from '../support/browser-proxy.ts';
import { startChromium } from '../support/chromium.ts';
import { createExamplePage, type ExamplePage } from '../support/example-page.ts';
import { startExampleServer } from '../support/example-server.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { findStablePorts } from '../support/stable-ports.ts';
import { until } from '../support/waiting.ts';

const KEY = 'the-key-of-alice';
/** Far longer than an answer takes, or a heartbeat is away. */
const SILENCE_SECONDS = 5;

const chromium = await startChromium();

describe('the browser example', { skip: 'missing' in chromium && chromium.missing, concurrency: true }, () => {
  after(async () => {
    if ('browser' in chromium) await chromium.browser.close();
  });

  for (const name of ['eventsource.html', 'fetch.html']) {
    describe(name, { concurrency: false }, () => {
      let fake: FakeOrchestrator;
      let gateway: TestGateway;
      let server: Awaited<ReturnType<typeof startExampleServer>>;
      let proxy: BrowserProxy;
      let view: ExamplePage;

      before(async () => {
        fake = await startFakeOrchestrator();
        allow(KEY);
        const [port] = await findStablePorts(1);
        gateway = await startGateway(`127.0.0.1:${port}`);
        server = await startExampleServer(gateway.url);
        proxy = await startBrowserProxy(server.port);
        assert.ok('browser' in chromium);
        view = await createExamplePage(chromium.browser, `${proxy.url}/${name}`);
      });
      after(async () => {
        await proxy?.close();
        await server?.close();
        await gateway?.close();
        await fake?.close();
      });
      beforeEach(async () => {
        fake.clearFaults();
        proxy.requests.length = 0;
        proxy.statuses.length = 0;
        await view.open();
      });
      afterEach(() => assert.deepEqual(view.faults.splice(0), []));

      /** Each one makes a secret for its tickets, so it refuses those of the one before. */
      const startGateway = (address: string) =>
        startTestGateway({
          BIND_ADDR: address,
          ORCHESTRATOR_ENDPOINT: fake.endpoint,
          API_KEYS_ENABLED: 'true',
          AUTH_CACHE_TTL_SECONDS: '0.2',
          HEARTBEAT_SECONDS: '0.2',
          UPSTREAM_LOSS_SECONDS: '0.3',
        });
      async function replaceGateway(whileAway: () => unknown): Promise<void> {
        await gateway.close();
        await whileAway();
        gateway = await startGateway(`127.0.0.1:${gateway.port}`);
      }

      const hash = (key: string) => createHash('sha256').update(key).digest('hex');
      const allow = (key: string) => fake.keys.set(hash(key), { principal: 'alice', limit: 0n, used: 0n });
      const newWorkflow = () => {
        const steps = ['backbones', 'sequences'].map((id) => ({ id, tool: 'rfdiffusion' }));
        return fake.put({ spec: { name: 'A binder', steps }, state: JobState.RUNNING }, 'alice').id;
      };
      const advance = (id: string, fraction = 0.5) =>
        fake.stepUpdate(id, { stepId: 'backbones', state: JobState.RUNNING, fraction });

      /** Watches a new workflow, and waits for the snapshot and the event 1. */
      async function watch(fields: { key?: string; silenceSeconds?: number } = {}): Promise<string> {
        const id = newWorkflow();
        await view.connect({ workflowId: id, key: KEY, ...fields });
        await view.shows('');
        advance(id);
        await view.shows('', '1');
        return id;
      }

      /** From now on: what `data-status` was until it became something else. Some of it is too short to be looked for. */
      async function recordStatuses(): Promise<() => Promise<string[]>> {
        await view.page.evaluate(`
          window.statusesLeft = [];
          new MutationObserver((records) => statusesLeft.push(...records.map(({ oldValue }) => oldValue))).observe(
            document.querySelector('#status'),
            { attributeFilter: ['data-status'], attributeOldValue: true },
          );`);
        return () => view.page.evaluate('statusesLeft');
      }

      /** Holds when no request passes for longer than either page waits before it resumes a stream. */
      async function asksForNothing(): Promise<void> {
        const asked = proxy.requests.length;
        await until('a long silence', longerThan(500));
        assert.deepEqual(proxy.requests.slice(asked), []);
      }

      it('shows the snapshot and every event once, through two lost connections, to the end', async () => {
        const id = await watch();
        assert.equal(await view.text('#name'), 'A binder');
        assert.equal(await view.page.locator('#steps progress').count(), 2);
        const seen = ['', '1'];
        for (const missed of [
          ['2', '3'],
          ['4', '5'],
        ]) {
          await proxy.goAway();
          advance(id);
          advance(id, 0.625);
          await view.becomes('waiting');
          await proxy.comeBack();
          seen.push(...missed);
          await view.shows(...seen);
        }
        assert.equal(await view.text('#steps .step-state >> nth=0'), '63 %');
        fake.workflowUpdate(id, JobState.SUCCEEDED);
        await view.becomes('over');
        await view.shows(...seen, '6');
        assert.equal(await view.text('#state'), 'SUCCEEDED');
        await asksForNothing();
        const urls = [...view.urls, ...proxy.requests];
        assert.ok(urls.length > 10);
        assert.ok(!urls.some((url) => url.includes(KEY)), 'the key is in no URL');
        const stored = await view.page.evaluate(
          'localStorage.length + sessionStorage.length + document.cookie.length + location.search.length',
        );
        assert.equal(stored, 0);
      });

      it('goes on with a gateway that does not know its ticket', async () => {
        const id = await watch();
        await proxy.goAway();
        await replaceGateway(() => advance(id));
        advance(id);
        await proxy.comeBack();
        await view.shows('', '1', '2', '3');
        advance(id);
        await view.shows('', '1', '2', '3', '4');
        const tickets = proxy.requests.filter((request) => request.startsWith('POST')).length;
        const refusals = proxy.statuses.filter((status) => status === 401).length;
        assert.deepEqual(
          { tickets, refusals },
          name === 'eventsource.html' ? { tickets: 2, refusals: 1 } : { tickets: 0, refusals: 0 },
        );
      });

      it('waits for a gateway that is away for a while', async () => {
        const id = await watch();
        await replaceGateway(async () => {
          advance(id);
          await until('the page has asked for it', () => proxy.statuses.includes(502));
          await view.becomes('waiting');
        });
        await view.shows('', '1', '2');
      });

      it('notices a connection that is dead although nothing has said so', async () => {
        const id = await watch({ silenceSeconds: SILENCE_SECONDS });
        const asked = proxy.requests.length;
        const longer = longerThan(SILENCE_SECONDS * 1_000 + 300);
        await until('longer than the silence that counts as a loss', longer, SILENCE_SECONDS * 2_000);
        assert.equal(proxy.requests.length, asked, 'heartbeats are heard');
        proxy.fallSilent();
        advance(id);
        await view.shows('', '1', '2');
      });

      it('gives up a request that is not answered', async () => {
        let asked = 0;
        await view.page.route(/\/(events|stream-tickets)$/, (route) => (asked++ === 0 ? undefined : route.continue()));
        const statusesLeft = await recordStatuses();
        await view.connect({ workflowId: newWorkflow(), key: KEY, silenceSeconds: SILENCE_SECONDS });
        await view.shows('');
        assert.deepEqual(await statusesLeft(), ['idle', 'connecting', 'waiting', 'connecting']);
        assert.equal(asked, 2);
      });

      it('asks no more when only the news of the end was lost', async () => {
        const id = await watch();
        proxy.withholdFrom('event: end');
        fake.workflowUpdate(id, JobState.FAILED);
        await view.shows('', '1', '2');
        proxy.cut();
        await view.becomes('over');
        await view.shows('', '1', '2');
        assert.match(await view.text('#status'), /FAILED/);
        assert.ok(proxy.statuses.includes(204));
        await asksForNothing();
      });

      it('comes back after an error that the server calls retryable', async () => {
        const id = await watch();
        fake.onCall('streamWorkflowEvents', () => {
          throw new ConnectError('down', Code.Unavailable);
        });
        fake.dropConnections();
        advance(id);
        await view.becomes('waiting');
        fake.clearFaults();
        await view.shows('', '1', '2');
        const tickets = proxy.requests.filter((request) => request.startsWith('POST')).length;
        assert.equal(tickets, name === 'eventsource.html' ? 1 : 0, 'the browser itself comes back');
      });

      it('stops when its key is revoked', async () => {
        // A refused key is remembered for seconds, so this one is of no use to any other test.
        const key = 'a-key-to-revoke';
        allow(key);
        await watch({ key });
        const asked = proxy.requests.length;
        fake.keys.delete(hash(key));
        await view.becomes('refused');
        assert.equal(proxy.requests.length, asked);
        await asksForNothing();
      });

      it('says why it was refused, and does not ask again', async () => {
        const cases = [
          { key: 'another-key', workflowId: newWorkflow(), reason: /^Stopped: the credential is not valid$/ },
          { key: KEY, workflowId: 'none', reason: /^Stopped: not found$/ },
          // No header can carry it, so nothing is sent at all.
          { key: 'ключ', workflowId: newWorkflow(), reason: /^Stopped: .*ISO-8859-1/ },
        ];
        for (const { reason, ...fields } of cases) {
          await view.connect(fields);
          await view.page.locator('#status[data-status=refused]', { hasText: reason }).waitFor({ timeout: 5_000 });
          await asksForNothing();
        }
      });

      it('leaves when it is told to, and watches another workflow after that', async () => {
        await watch();
        await view.disconnect();
        await view.becomes('idle');
        await until('the gateway has noticed', () => fake.openStreams() === 0);
        await asksForNothing();
        const workflowId = newWorkflow();
        await view.connect({ workflowId, key: KEY });
        await view.shows('');
        advance(workflowId);
        await view.shows('', '1');
      });

      it('shows a gap', async () => {
        const gap = 'event: gap\ndata: {"requested":2,"oldest":9}\n\nid: 9\n';
        const update = 'event: step_update\ndata: {"step_update":{"step_id":"x","state":"RUNNING","fraction":1}}\n\n';
        const body = `${gap}${update}event: end\ndata: {"state":"CANCELLED"}\n\n`;
        await view.page.route(/\/events(\?|$)/, (route) => route.fulfill({ contentType: 'text/event-stream', body }));
        await view.connect({ workflowId: newWorkflow(), key: KEY });
        await view.becomes('over');
        await view.shows('', '9');
        assert.match(await view.text('#events .gap'), /after 2 .* 9$/);
      });
    });
  }
});

/** Holds when this time has passed. */
function longerThan(ms: number): () => boolean {
  const since = performance.now();
  return () => performance.now() - since > ms;
}
