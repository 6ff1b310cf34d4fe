import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import {
  BUCKET,
  createNoGuards,
  faultsOf,
  pathOf,
  readFailures,
  recordFiles,
  storeSettings,
} from '../support/artifact-records.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { type Script, type ScriptedStore, startScriptedStore } from '../support/scripted-store.ts';

const BODY = 'ABCDEFGHIJ';

const answer = (status: number, headers: Record<string, string | number>, body: string): Script => {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return { send: `HTTP/1.1 ${status} X\r\n${lines.join('')}\r\n${body}`, close: 'end' };
};
const sized = (length: number | string, body = BODY) => answer(200, { 'Content-Length': length }, body);
const part = (contentRange: string, body = 'CDEF') =>
  answer(206, { 'Content-Range': contentRange, 'Content-Length': body.length }, body);
const refusal = (status: number, code = 'Refused') => {
  const body = `<Error><Code>${code}</Code><Message>${BUCKET} is not yours</Message></Error>`;
  return answer(status, { 'Content-Length': body.length, Connection: 'close' }, body);
};
const raw = (send: string): Script => ({ send, close: 'end' });

type Expected = readonly [code: string, reason: string, requests: number];
const WHOLE: Expected = ['', '', 1];
const MISMATCH: Expected = ['STORE_ERROR', 'mismatch', 1];
const REFUSED: Expected = ['STORE_ERROR', 'refused', 1];
const FAILED: Expected = ['STORE_UNAVAILABLE', 'failed', 2];

/** What a store may answer to GET of ten bytes. */
const ANSWERS: Record<string, readonly [Script[], Expected]> = {
  'the file': [[sized(10)], WHOLE],
  'more bytes than it says': [[sized(10, `${BODY}KLM`)], WHOLE],
  'an interim answer first': [[raw(`HTTP/1.1 100 Continue\r\n\r\n${sized(10).send}`)], WHOLE],
  'a shorter file': [[sized(9, BODY.slice(0, 9))], MISMATCH],
  'a longer file': [[sized(11, `${BODY}K`)], MISMATCH],
  'an empty file': [[sized(0, '')], MISMATCH],
  'no length': [[answer(200, {}, BODY)], MISMATCH],
  chunks: [[answer(200, { 'Transfer-Encoding': 'chunked' }, `a\r\n${BODY}\r\n0\r\n\r\n`)], MISMATCH],
  'no content': [[answer(204, {}, '')], MISMATCH],
  'a part that nobody asked for': [
    [answer(206, { 'Content-Range': 'bytes 10-19/20', 'Content-Length': 10 }, BODY)],
    MISMATCH,
  ],
  'a length and chunks': [
    [answer(200, { 'Content-Length': 10, 'Transfer-Encoding': 'chunked' }, `a\r\n${BODY}\r\n0\r\n\r\n`)],
    REFUSED,
  ],
  'two lengths': [[raw(`HTTP/1.1 200 OK\r\nContent-Length: 10\r\nContent-Length: 9\r\n\r\n${BODY}`)], REFUSED],
  'a length that is none': [[sized('ten')], REFUSED],
  'a length beyond counting': [[sized('99999999999999999999')], REFUSED],
  'a negative length': [[sized(-10)], REFUSED],
  'no HTTP': [[raw('SSH-2.0-OpenSSH_9.2\r\n')], REFUSED],
  TLS: [[raw('\x15\x03\x01\x00\x02\x02\x46')], REFUSED],
  'no head': [[raw(BODY)], REFUSED],
  'another place': [[refusal(301, 'PermanentRedirect')], REFUSED],
  'a bad request': [[refusal(400)], REFUSED],
  'bad credentials': [[refusal(401)], ['STORE_ERROR', 'denied', 1]],
  'access denied': [[refusal(403, 'AccessDenied')], ['STORE_ERROR', 'denied', 1]],
  'no such key': [[refusal(404, 'NoSuchKey')], ['STORE_ERROR', 'missing', 1]],
  'an error that is no XML': [[answer(404, { 'Content-Length': 4 }, '<<<>')], ['STORE_ERROR', 'missing', 1]],
  'too many requests': [[refusal(429)], ['STORE_UNAVAILABLE', 'failed', 1]],
  'a fault': [[refusal(500, 'InternalError')], FAILED],
  'no service': [[refusal(503, 'SlowDown')], FAILED],
  'a fault, and then the file': [
    [refusal(500), sized(10)],
    ['', '', 2],
  ],
  'no service, and then no such key': [
    [refusal(503), refusal(404)],
    ['STORE_ERROR', 'missing', 2],
  ],
  'a fault, and then a shorter file': [
    [refusal(500), sized(9)],
    ['STORE_ERROR', 'mismatch', 2],
  ],
};

/** And to GET of four bytes from the third on. */
const PARTS: typeof ANSWERS = {
  'the part': [[part('bytes 2-5/10')], WHOLE],
  'the whole': [[sized(10)], MISMATCH],
  'the first bytes as if they were the whole': [[sized(4, 'ABCD')], MISMATCH],
  'another part': [[part('bytes 3-6/10')], MISMATCH],
  'a shorter part': [[part('bytes 2-4/10', 'CDE')], MISMATCH],
  'a longer part': [[part('bytes 2-6/10', 'CDEFG')], MISMATCH],
  'a part with another length': [
    [answer(206, { 'Content-Range': 'bytes 2-5/10', 'Content-Length': 5 }, BODY)],
    MISMATCH,
  ],
  'a part of another file': [[part('bytes 2-5/11')], MISMATCH],
  'a part of who knows what': [[part('bytes 2-5/*')], MISMATCH],
  'a part in another unit': [[part('lines 2-5/10')], MISMATCH],
  'no such range': [[refusal(416, 'InvalidRange')], MISMATCH],
  'a fault, and then the part': [
    [refusal(502), part('bytes 2-5/10')],
    ['', '', 2],
  ],
};

describe('what a store answers', () => {
  let fake: FakeOrchestrator;
  let store: ScriptedStore;
  let gateway: TestGateway;
  before(async () => {
    fake = await startFakeOrchestrator();
    store = await startScriptedStore();
    const settings = { ORCHESTRATOR_ENDPOINT: fake.endpoint, ...storeSettings(store.url) };
    gateway = await startTestGateway(settings, undefined, undefined, { storeGuards: createNoGuards() });
  });
  after(async () => {
    await gateway.close();
    await store.close();
    await fake.close();
  });

  for (const [cases, range] of [
    [ANSWERS, undefined],
    [PARTS, 'bytes=2-5'],
  ] as const) {
    it(`to ${range ?? 'a whole file'}`, async () => {
      for (const [name, [script, [code, reason, requests]]] of Object.entries(cases)) {
        const key = `${range}/${name}`;
        store.put(key, ...script);
        const path = pathOf(recordFiles(fake, [{ key, sizeBytes: BODY.length }]), key);
        const counted = await readFailures(gateway);
        const requestId = randomUUID();
        const response = await gateway.request(path, {
          headers: { 'X-Request-Id': requestId, ...(range && { Range: range }) },
        });
        const text = await response.text();
        if (code === '') {
          assert.deepEqual([response.status, text], range ? [206, 'CDEF'] : [200, BODY], name);
        } else {
          assert.deepEqual([response.status, JSON.parse(text).code], [502, code], name);
          assert.doesNotMatch(text, new RegExp(`${BUCKET}|<Error>|${name}`), 'the words of the store are for the log');
          counted[reason] = (counted[reason] ?? 0) + 1;
        }
        const logged = faultsOf(gateway, requestId).map((fault) => fault.code);
        assert.deepEqual(logged, code === '' ? [] : [code], name);
        assert.deepEqual(await readFailures(gateway), counted, name);
        assert.equal(store.countRequests(key), requests, name);
      }
      assert.doesNotMatch(gateway.logLines.join(''), /test-secret/);
    });
  }
});
