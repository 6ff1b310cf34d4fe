import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  createNoGuards,
  pathOf,
  readFailures,
  recordFiles,
  sha256,
  storeSettings,
} from '../support/artifact-records.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { sendRaw } from '../support/raw-request.ts';
import { type Script, type ScriptedStore, startScriptedStore } from '../support/scripted-store.ts';
import { until } from '../support/waiting.ts';

const AT_ONCE = 80;
const BODY = 'ABCDEFGHIJ';
const FULL = `HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n${BODY}`;
const PART = `HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 2-5/10\r\nContent-Length: 4\r\n\r\nCDEF`;
const DENIED = 'HTTP/1.1 403 No\r\nContent-Length: 8\r\n\r\n<Error/>';
const FAILED = DENIED.replace('403', '500');

/** `whole`: exactly the right bytes. `broken`: fewer, and visibly so. Else the code of an error. */
interface Outcome {
  readonly end: string;
  readonly requests: number;
}

describe('a store that breaks at every byte', () => {
  let fake: FakeOrchestrator;
  let store: ScriptedStore;
  let gateway: TestGateway;
  /** What is silent is silent for ever, and what is not is never cut off for being slow. */
  let impatient: TestGateway;
  before(async () => {
    fake = await startFakeOrchestrator();
    store = await startScriptedStore();
    const settings = { ORCHESTRATOR_ENDPOINT: fake.endpoint, ...storeSettings(store.url) };
    gateway = await startTestGateway(settings, undefined, undefined, { storeGuards: createNoGuards() });
    const hasty = { ...settings, OBJECT_STORE_READ_TIMEOUT_SECONDS: '3' };
    impatient = await startTestGateway(hasty, undefined, undefined, { storeGuards: createNoGuards() });
  });
  after(async () => {
    await gateway.close();
    await impatient.close();
    await store.close();
    await fake.close();
  });

  /**
   * Downloads one file for each script, several at a time. Fails when a client gets wrong bytes or a short file that looks
   * whole, when an error is not the standard one, or when a failure is not logged and counted once.
   */
  async function downloadAll(name: string, scripts: readonly (readonly Script[])[], isPart = false, asker = gateway) {
    const keys = scripts.map((script, index) => {
      const key = `${name}.${index}`;
      store.put(key, ...script);
      return key;
    });
    const files = keys.map((key) => ({ key, sizeBytes: BODY.length, sha256: sha256(Buffer.from(BODY)) }));
    const id = recordFiles(fake, files);
    const linesBefore = asker.logLines.length;
    const failuresBefore = sum(await readFailures(asker));
    const outcomes: Outcome[] = [];
    const waiting = keys.entries();
    async function work(): Promise<void> {
      for (const [index, key] of waiting) outcomes[index] = await downloadOne(asker, id, key, isPart);
    }
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    const failed = outcomes.filter(({ end }) => end !== 'whole').length;
    const log = () => asker.logLines.slice(linesBefore).map((line) => JSON.parse(line));
    const answered = () => log().filter(({ request_id, msg }) => keys.includes(request_id) && msg === 'request');
    await until(`all of ${name} is logged`, () => answered().length === keys.length);
    assert.equal(sum(await readFailures(asker)) - failuresBefore, failed, 'each failure is counted once');
    const faults = log().filter(({ code }) => code !== undefined);
    const requests = answered();
    for (const [index, key] of keys.entries()) {
      const { end } = outcomes[index]!;
      const logged = faults.filter(({ request_id }) => request_id === key).length;
      assert.equal(logged, end === 'whole' ? 0 : 1, `${key} is logged once`);
      const { status } = requests.find(({ request_id }) => request_id === key);
      assert.equal(status >= 500, end !== 'whole', `${key} is ${status} in the log`);
    }
    return outcomes;
  }

  async function downloadOne(asker: TestGateway, id: string, key: string, isPart: boolean): Promise<Outcome> {
    const headers = { 'X-Request-Id': key, ...(isPart && { Range: 'bytes=2-5' }) };
    const { status, body, whole, headers: answered } = await sendRaw(asker.port, pathOf(id, key), { headers });
    const requests = store.countRequests(key);
    const right = isPart ? BODY.slice(2, 6) : BODY;
    let end = 'whole';
    if (status >= 400) {
      const { code, request_id, status: said } = JSON.parse(body.toString());
      assert.deepEqual([request_id, said, whole], [key, status, true], key);
      assert.equal(answered['x-request-id'], key);
      assert.ok(status === 502 || status === 504, `${key}: ${status}`);
      end = code;
    } else if (whole) {
      assert.deepEqual([status, body.toString()], [isPart ? 206 : 200, right], key);
    } else {
      assert.ok(right.startsWith(body.toString()), `${key}: only right bytes before it broke`);
      end = 'broken';
    }
    return { end, requests };
  }

  /** The answer cut after each of its bytes but the last. */
  const cuts = (answer: string, close: Script['close']) =>
    Array.from(answer, (_, length) => [{ send: answer.slice(0, length), close }]);

  for (const [name, answer, isPart] of [
    ['full', FULL, false],
    ['part', PART, true],
  ] as const) {
    const headLength = answer.indexOf('\r\n\r\n') + 4;

    it(`is closed after any byte of a ${name} answer`, async () => {
      const outcomes = await downloadAll(`${name}-end`, cuts(answer, 'end'), isPart);
      for (const [length, outcome] of outcomes.entries()) {
        const expected =
          length < headLength ? { end: 'STORE_UNAVAILABLE', requests: 2 } : { end: 'broken', requests: 1 };
        assert.deepEqual(outcome, expected, `after ${length} bytes`);
      }
    });

    it(`falls silent after any byte of a ${name} answer`, async () => {
      const outcomes = await downloadAll(`${name}-stall`, cuts(answer, 'never'), isPart, impatient);
      for (const [length, { end, requests }] of outcomes.entries()) {
        assert.equal(requests, 1, 'what took too long is not repeated');
        // On a busy machine a whole head, too, may come too late.
        assert.ok(end === 'DEADLINE_EXCEEDED' || (end === 'broken' && length >= headLength), `${length}: ${end}`);
      }
      assert.ok(outcomes.some(({ end }) => end === 'broken'));
    });

    it(`sends any byte of the head of a ${name} answer wrongly`, async () => {
      const garbled = [isPart ? '9' : '\0'].flatMap((wrong) =>
        Array.from(answer.slice(0, headLength), (_, at) => [
          { send: answer.slice(0, at) + wrong + answer.slice(at + 1), close: 'end' as const },
        ]),
      );
      const outcomes = await downloadAll(`${name}-garbled`, garbled, isPart);
      const ends = new Set(outcomes.map(({ end }) => end));
      assert.ok(ends.has('whole') && ends.has('STORE_ERROR'), [...ends].join());
    });
  }

  it('is reset after any byte', async () => {
    const headLength = FULL.indexOf('\r\n\r\n') + 4;
    const outcomes = await downloadAll('reset', cuts(FULL, 'reset'));
    for (const [length, { end, requests }] of outcomes.entries()) {
      if (length < headLength) assert.deepEqual({ end, requests }, { end: 'STORE_UNAVAILABLE', requests: 2 });
      // A reset may overtake what was sent before it.
      else assert.ok(end === 'broken' ? requests <= 2 : end === 'STORE_UNAVAILABLE' && requests === 2, end);
    }
  });

  it('breaks after any byte of an error', async () => {
    const silent = await downloadAll('denied-stall', cuts(DENIED, 'never'), false, impatient);
    for (const outcome of silent) assert.deepEqual(outcome, { end: 'DEADLINE_EXCEEDED', requests: 1 });
    const closed = await downloadAll('failed-end', cuts(FAILED, 'end'));
    for (const outcome of closed) assert.deepEqual(outcome, { end: 'STORE_UNAVAILABLE', requests: 2 });
  });

  it('is well again at the second attempt, whatever byte the first broke after', async () => {
    const headLength = FULL.indexOf('\r\n\r\n') + 4;
    const first = cuts(FULL, 'end').slice(0, headLength);
    const outcomes = await downloadAll(
      'again',
      first.map((script) => [...script, { send: FULL, close: 'never' }]),
    );
    for (const outcome of outcomes) assert.deepEqual(outcome, { end: 'whole', requests: 2 });
  });
});

const sum = (counts: Record<string, number>) => Object.values(counts).reduce((total, count) => total + count, 0);
