import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readAnswers } from './answers.ts';
import type { Conversation } from './conversation.ts';
import { checkRaw, checkRequest } from './oracle.ts';
import type { Request } from './request.ts';

const COMMON = 'X-Request-Id: r0\r\nCache-Control: no-store\r\n';
const HEALTH = '{"status":"ok","version":"1"}';
const healthy = (length: number, headers = COMMON) =>
  `HTTP/1.1 200 OK\r\n${headers}Content-Type: application/json\r\nContent-Length: ${length}\r\n\r\n${HEALTH}`;
const GOOD = healthy(HEALTH.length);
const error = (status: number, code: string) => {
  const body = JSON.stringify({
    code,
    message: 'm',
    retryable: false,
    request_id: 'r0',
    type: `urn:foldforge:error:${code}`,
    title: 't',
    status,
    detail: 'm',
    instance: 'urn:foldforge:request:r0',
  });
  return `HTTP/1.1 ${status} No\r\n${COMMON}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
};

const REQUEST: Request = {
  operationId: 'getHealth',
  method: 'GET',
  target: '/v1/healthz',
  headers: [],
  body: Buffer.alloc(0),
  promised: [200],
};

function talkOf(text: string, { isHead = false, ending = 'closed' as Conversation['ending'] } = {}): Conversation {
  return { ...readAnswers(Buffer.from(text, 'latin1'), () => isHead, true), ending, tookMs: 1 };
}

/** What the fuzzer says of these bytes as the answer to a request. */
async function verdict(text: string, request: Partial<Request> = {}, ending: Conversation['ending'] = 'closed') {
  const isHead = request.method === 'HEAD';
  return await checkRequest({ ...REQUEST, ...request }, talkOf(text, { isHead, ending })).then(
    () => 'good',
    (thrown: Error) => thrown.message.split('\n', 1)[0]!,
  );
}

describe('what the fuzzer takes for an answer', () => {
  it('is a good one', async () => {
    assert.equal(await verdict(GOOD), 'good');
    assert.equal(await verdict(GOOD.slice(0, -HEALTH.length), { method: 'HEAD' }), 'good');
    const chunked = GOOD.replace(/Content-Length: \d+/, 'Transfer-Encoding: chunked').replace(
      HEALTH,
      `1\r\n{\r\n${(HEALTH.length - 1).toString(16)}\r\n${HEALTH.slice(1)}\r\n0\r\n\r\n`,
    );
    assert.equal(await verdict(chunked), 'good');
    const options = `HTTP/1.1 204 No Content\r\n${COMMON}Allow: GET\r\n\r\n`;
    assert.equal(await verdict(options, { method: 'OPTIONS', promised: undefined }), 'good');
    assert.equal(await verdict(error(400, 'INVALID_ARGUMENT'), { promised: undefined }), 'good');
  });

  const bad: readonly [what: string, text: string, verdict: RegExp, request?: Partial<Request>][] = [
    ['none', '', /one request has one answer/],
    ['two', GOOD + GOOD, /one request has one answer/],
    ['one with stray bytes behind it', `${GOOD}x`, /not HTTP/],
    ['one that is shorter than it says', healthy(HEALTH.length + 1), /not HTTP: an answer broke off/],
    ['one of two lengths', healthy(HEALTH.length, `${COMMON}Content-Length: 3\r\n`), /two Content-Length/],
    ['one of two framings', healthy(HEALTH.length, `${COMMON}Transfer-Encoding: chunked\r\n`), /and Transfer-Encoding/],
    ['a line that is no header', healthy(HEALTH.length, `${COMMON}Set Cookie: a\r\n`), /no header/],
    ['a switch of the protocol', 'HTTP/1.1 101 Switching Protocols\r\n\r\n', /the protocol was switched/],
    ['an interim answer that nobody asked for', `HTTP/1.1 103 Early Hints\r\n\r\n${GOOD}`, /interim answers: 103/],
    ['one without an id', healthy(HEALTH.length, 'Cache-Control: no-store\r\n'), /without X-Request-Id/],
    ['another body', GOOD.replace('"ok"', '"no"'), /getHealth|healthz/],
    ['another status', GOOD.replace('200 OK', '202 Accepted'), /does not have this status/],
    ['a body to HEAD', GOOD, /not HTTP/, { method: 'HEAD' }],
    ['a refusal of what is promised', error(400, 'INVALID_ARGUMENT'), /a valid request is answered with 400/],
    ['a fault', error(500, 'INTERNAL'), /500 while all is well/, { promised: undefined }],
    ['an error that is none of ours', GOOD.replace('200 OK', '400 Bad Request'), /400/, { promised: undefined }],
    ['a header of the caller', healthy(HEALTH.length, `${COMMON}X-Injected: 1\r\n`), /injected/],
  ];
  for (const [what, text, expected, request] of bad) {
    it(`is not ${what}`, async () => assert.match(await verdict(text, request), expected));
  }

  it('is not one that does not end', async () => {
    assert.match(await verdict('', {}, 'late'), /no end of the connection/);
    assert.match(await verdict('', {}, 'left'), /no answer/);
  });
});

describe('what the fuzzer takes for the answers of a pipeline', () => {
  const draft = { operationId: 'getHealth', method: 'GET', path: '/v1/healthz', query: [], headers: [] };
  const pipeline = ['r0', 'r1'].map((id) => ({ id, method: 'GET', draft }));
  const second = GOOD.replace('r0', 'r1');
  const check = (text: string, parts?: typeof pipeline) =>
    checkRaw({ packets: [Buffer.from('GET / HTTP/1.1\r\n\r\n')], ...(parts && { pipeline: parts }) }, talkOf(text));

  it('is each of them, in order, up to one that closes', async () => {
    await check(GOOD + second, pipeline);
    await check(GOOD.replace('X-Req', 'Connection: close\r\nX-Req'), pipeline);
    await assert.rejects(check(second + GOOD, pipeline), /in order/);
    await assert.rejects(check(GOOD, pipeline), /in order/);
    await assert.rejects(check(GOOD.replace('r0', 'smuggled') + second, pipeline), /in order/);
    await assert.rejects(
      check(GOOD.replace('X-Req', 'Connection: close\r\nX-Req') + second, pipeline),
      /follows an answer/,
    );
  });

  it('is no more than there can be requests', async () => {
    await check(GOOD + GOOD);
    await assert.rejects(check(GOOD + GOOD + GOOD), /3 answers to at most 1 requests/);
  });
});
