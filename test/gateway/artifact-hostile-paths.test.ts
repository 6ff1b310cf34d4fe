import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { BUCKET, pathOf, recordFiles, sha256, storeSettings } from '../support/artifact-records.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { HOSTILE_TAILS } from '../support/hostile-paths.ts';
import { sendRaw } from '../support/raw-request.ts';
import { type RawStore, serve, startRawStore } from '../support/raw-store.ts';

const MINE = 'artifacts/mine é.pdb';
const FILE = Buffer.from('mine');
const ALICE = { Authorization: 'Bearer alice-key' };

describe('hostile paths of artifacts', () => {
  let fake: FakeOrchestrator;
  let store: RawStore;
  let gateway: TestGateway;
  let mine: string;
  let theirs: string;
  before(async () => {
    fake = await startFakeOrchestrator();
    store = await startRawStore(serve(FILE));
    gateway = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      API_KEYS_ENABLED: 'true',
      ...storeSettings(store.url),
    });
    for (const principal of ['alice', 'bob']) {
      fake.keys.set(sha256(Buffer.from(`${principal}-key`)), { principal, limit: 0n, used: 0n });
    }
    const elsewhere = { key: 'artifacts/elsewhere.pdb', sizeBytes: FILE.length, bucket: 'other-bucket' };
    mine = recordFiles(fake, [{ key: MINE, sizeBytes: FILE.length, sha256: sha256(FILE) }, elsewhere], 'alice');
    theirs = recordFiles(fake, [{ key: 'artifacts/theirs.pdb', sizeBytes: FILE.length }], 'bob');
  });
  after(async () => {
    await gateway.close();
    await store.close();
    await fake.close();
  });

  const ask = (target: string, method = 'GET') =>
    sendRaw(gateway.port, target, { method, headers: { ...ALICE, 'X-Request-Id': 'same' } });

  it('never make a request to the store', async () => {
    for (const tail of HOSTILE_TAILS) {
      const target = `/v1/workflows/${mine}/artifacts/${tail.replaceAll('{theirs}', theirs)}`;
      for (const form of [target, `http://elsewhere${target}`, `//elsewhere${target}`]) {
        const { status } = await ask(form);
        assert.ok(status === 400 || status === 404, `${status} for ${form.slice(0, 300)}`);
      }
    }
    assert.deepEqual(store.requests, []);
  });

  it('are told from every form of a good one', async () => {
    const good = pathOf(mine, MINE);
    const forms = [
      good,
      good.replace('workflows', 'work%66lows'),
      good.replace('artifacts/mine', 'artifacts%2Fmine'),
      good.replace('mine', '%6d%69%6E%65'),
    ];
    for (const form of forms) {
      const asked = store.requests.length;
      const { status, body } = await ask(form);
      assert.deepEqual([status, body.toString()], [200, 'mine'], form);
      const targets = store.requests.slice(asked).map(({ target }) => target);
      assert.deepEqual(targets, [`/${BUCKET}/artifacts/mine%20%C3%A9.pdb?x-id=GetObject`]);
    }
  });

  it('of any bytes never make one for another key', async () => {
    const piece = fc.constantFrom(
      '%',
      '2',
      'e',
      'E',
      'f',
      'F',
      '.',
      '/',
      '\\',
      '5c',
      '00',
      '0a',
      'C3',
      '%2f',
      '%2e',
      '?',
      '#',
      ';',
      '+',
      '~',
      'mine',
      'artifacts',
      MINE,
      'theirs.pdb',
      ':',
      '@',
      '\t',
      '\x80',
      '\xff',
    );
    const tails = fc.array(piece, { maxLength: 8 }).map((pieces) => encodeURI(pieces.join('')).replaceAll('%25', '%'));
    await fc.assert(
      fc.asyncProperty(tails, async (tail) => {
        const asked = store.requests.length;
        const { status } = await ask(`/v1/workflows/${mine}/artifacts/${tail}`);
        assert.ok([200, 400, 404].includes(status), String(status));
        const expected = status === 200 ? [`/${BUCKET}/artifacts/mine%20%C3%A9.pdb?x-id=GetObject`] : [];
        assert.deepEqual(
          store.requests.slice(asked).map(({ target }) => target),
          expected,
        );
      }),
      { numRuns: 150 },
    );
  });

  it('cannot tell a file that is somebody else’s from none', async () => {
    const missing = await ask(pathOf('no-such-workflow', 'artifacts/theirs.pdb'));
    const others = [
      pathOf(theirs, 'artifacts/theirs.pdb'),
      pathOf(theirs, 'artifacts/never.pdb'),
      pathOf(mine, 'artifacts/theirs.pdb'),
      pathOf(mine, 'artifacts/elsewhere.pdb'),
      `/v1/workflows/${mine}/artifacts/%zz`,
    ];
    assert.equal(missing.status, 404);
    for (const target of others) {
      const { headers, body, status } = await ask(target);
      assert.equal(status, 404);
      assert.deepEqual({ ...headers, date: '' }, { ...missing.headers, date: '' }, target);
      assert.equal(body.toString(), missing.body.toString(), target);
      const head = await ask(target, 'HEAD');
      assert.deepEqual([head.status, { ...head.headers, date: '' }], [404, { ...missing.headers, date: '' }], target);
    }
  });

  it('ask for exactly the key that was recorded, whatever characters it has', async () => {
    const segment = fc
      .string({
        unit: fc.oneof(
          fc.constantFrom(...'%/2eF.?#&+;=:@"\'<> '),
          fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
        ),
        minLength: 1,
        maxLength: 8,
      })
      // biome-ignore lint/suspicious/noControlCharactersInRegex: no artifact has a name with control characters.
      .filter((text) => text.isWellFormed() && !/[\\\x00-\x1f\x7f]/.test(text))
      .filter((text) => text.split('/').every((part) => !/^\.{0,2}$/.test(part)));
    await fc.assert(
      fc.asyncProperty(fc.array(segment, { minLength: 1, maxLength: 3 }), async (segments) => {
        const key = segments.join('/');
        const id = recordFiles(fake, [{ key, sizeBytes: FILE.length }], 'alice');
        const { status, body } = await ask(pathOf(id, key));
        assert.deepEqual([status, body.toString()], [200, 'mine']);
        const [path, query] = store.requests.at(-1)!.target.split('?');
        assert.equal(query, 'x-id=GetObject');
        assert.equal(decodeURIComponent(path!), `/${BUCKET}/${key}`);
      }),
      { numRuns: 60 },
    );
  });
});
