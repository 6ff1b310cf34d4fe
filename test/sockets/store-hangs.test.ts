import assert from 'node:assert/strict';
import { Agent, get } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { pathOf, recordFiles, storeSettings } from '../support/artifact-records.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { ADMIN, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { type RawStore, serve, startRawStore } from '../support/raw-store.ts';
import { until, within } from '../support/waiting.ts';

const BODY = Buffer.from('0123456789');
const DOWNLOADS = 200;
const MOST = 64;
/** In which a busy machine gets all of them under way, and answers others. */
const READ_TIMEOUT_MS = 20_000;
/** So many times the usual, which is more on a busy machine. */
const USUAL_TIMES = 10;

describe('a store that takes connections and never answers', () => {
  let fake: FakeOrchestrator;
  let store: RawStore;
  let gateway: TestGateway;
  before(async () => {
    fake = await startFakeOrchestrator();
    store = await startRawStore(() => undefined);
    gateway = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      ...storeSettings(store.url),
      OBJECT_STORE_MAX_TRANSFERS: String(MOST),
      OBJECT_STORE_READ_TIMEOUT_SECONDS: String(READ_TIMEOUT_MS / 1_000),
      LOG_LEVEL: 'fatal',
    });
  });
  after(async () => {
    await gateway.close();
    await store.close();
    await fake.close();
  });

  /** On a connection of its own. */
  function ask(path: string) {
    const begunMs = performance.now();
    const agent = new Agent();
    return within(
      path,
      new Promise<{ status: number; code: unknown; retryAfter: string | undefined; ms: number }>((resolve, reject) => {
        get(gateway.url + path, { headers: ADMIN, agent }, async (answer) => {
          const text = Buffer.concat(await answer.toArray()).toString();
          const { code } = text.startsWith('{') ? JSON.parse(text) : { code: text };
          const { statusCode = 0, headers } = answer;
          resolve({ status: statusCode, code, retryAfter: headers['retry-after'], ms: performance.now() - begunMs });
        }).on('error', reject);
      }),
      4 * READ_TIMEOUT_MS,
    ).finally(() => agent.destroy());
  }

  const transfers = async () =>
    Number(
      /^foldforge_gateway_object_store_transfers (\d+)$/m.exec(await (await gateway.request('/metrics')).text())?.[1],
    );
  const sockets = () => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;

  /** Half of some requests that need no store took no longer than this, in milliseconds. */
  async function medianOfOthers(id: string): Promise<number> {
    const times: number[] = [];
    for (let round = 0; round < 10; round++) {
      for (const url of [`/v1/workflows/${id}`, '/v1/healthz', '/v1/workflows?page_size=1']) {
        const { status, ms } = await ask(url);
        assert.equal(status, 200, url);
        times.push(ms);
      }
    }
    return times.sort((one, other) => one - other)[times.length / 2]!;
  }

  it('takes no more than its share, and leaves nothing behind', async () => {
    const id = recordFiles(fake, [{ key: 'a/b', sizeBytes: BODY.length, sha256: 'ab'.repeat(32) }]);
    const path = pathOf(id, 'a/b');
    // Its record is known from then on.
    assert.equal((await gateway.request(path, { method: 'HEAD' })).status, 200);
    const usual = await medianOfOthers(id);
    const socketsBefore = sockets();

    const downloads = Array.from({ length: DOWNLOADS }, () => ask(path));
    await until('the downloads have all there is for them', async () => (await transfers()) === MOST, READ_TIMEOUT_MS);
    const median = await medianOfOthers(id);
    assert.equal(await transfers(), MOST, 'the store was silent all the while');
    assert.ok(store.openConnections() <= MOST, `${store.openConnections()} connections to the store`);
    assert.ok(median < Math.max(250, USUAL_TIMES * usual), `half of the other requests took ${median} ms`);

    const ends = await Promise.all(downloads);
    const countEnds = (code: string) => ends.filter((end) => end.code === code).length;
    assert.deepEqual([countEnds('DEADLINE_EXCEEDED'), countEnds('OVERLOADED')], [MOST, DOWNLOADS - MOST]);
    for (const { status, retryAfter, ms } of ends) {
      assert.ok(status === 503 || status === 504, `${status}`);
      assert.match(retryAfter ?? '', /^[123]$/);
      assert.ok(ms < 2 * READ_TIMEOUT_MS, `a download took ${ms} ms`);
    }

    store.behave(serve(BODY));
    await until('the store is found again', async () => (await ask(path)).status === 200);
    assert.equal(await transfers(), 0);
    await until('all connections are closed', () => sockets() <= socketsBefore + 2);
    await until('those to the store, too', () => store.openConnections() <= 2);
  });
});
