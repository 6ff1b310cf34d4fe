import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { data, ERROR, type Fields, frame, goAway, headers, rstStream, settings } from '../../support/h2-frames.ts';
import type { Request } from '../request.ts';
import { createAnswerReader } from './answer-reader.ts';
import { BENDS } from './bent-fields.ts';
import { checkFrames } from './check-frames.ts';
import { checkStream } from './check-stream.ts';
import { fieldsOf, judge } from './fields.ts';
import type { StreamTalk } from './session.ts';

const BODY = '{"status":"ok","version":"1"}';
const HEAD: Fields = [
  [':status', '200'],
  ['x-request-id', 'r0'],
  ['cache-control', 'no-store'],
  ['content-type', 'application/json'],
  ['content-length', String(BODY.length)],
];
const GOOD = [settings([]), headers(1, HEAD), data(1, Buffer.from(BODY), { end: true })];
const REQUEST: Request = {
  operationId: 'getHealth',
  method: 'GET',
  target: '/v1/healthz',
  headers: [],
  body: Buffer.alloc(0),
  promised: [200],
};

function read(...frames: readonly Buffer[]) {
  const reader = createAnswerReader();
  // However it is cut.
  for (const byte of Buffer.concat(frames)) reader.read(Buffer.from([byte]));
  return reader;
}

describe('what the fuzzer takes for HTTP/2', () => {
  it('is a good answer', () => {
    const reader = read(...GOOD, goAway(1, ERROR.noError));
    assert.equal(reader.fault(), undefined);
    assert.equal(reader.streams.get(1)?.status, 200);
    assert.equal(Buffer.concat(reader.streams.get(1)!.chunks).toString(), BODY);
    assert.deepEqual(reader.goAway(), { lastStreamId: 1, code: 0 });
  });

  const more = (...fields: Fields) => [settings([]), headers(1, [...HEAD, ...fields], { end: true })];
  const bad: readonly [what: string, frames: readonly Buffer[], fault: RegExp][] = [
    ['an answer before SETTINGS', GOOD.slice(1), /before SETTINGS/],
    ['an answer on a stream of its own', [settings([]), headers(2, HEAD, { end: true })], /on stream 2/],
    ['a body without a head', [settings([]), data(1, Buffer.from('x'))], /DATA before the answer/],
    ['more behind the end', [...GOOD, data(1, Buffer.from('x'))], /something follows the end/],
    ['more behind a reset', [...GOOD.slice(0, 2), rstStream(1, 0), data(1, Buffer.from('x'))], /something follows/],
    ['a head without a status', [settings([]), headers(1, HEAD.slice(1))], /begins with/],
    ['a field of a connection', more(['connection', 'close']), /the field "connection"/],
    ['a field in capitals', more(['X-Odd', '1']), /the field "X-Odd"/],
    ['a line break in a field', more(['x-odd', 'a\r\nb']), /the value/],
    ['two lengths', more(['content-length', '3']), /content-length 3/],
    ['a push', [settings([]), frame(0x5, 0x4, 1, Buffer.alloc(4))], /PUSH_PROMISE/],
    ['a broken header block', [settings([]), headers(1, Buffer.from([0x80]))], /index 0/],
    ['a PING of a wrong length', [settings([]), frame(0x6, 0, 0, Buffer.alloc(7))], /7 bytes/],
    ['an unknown code', [settings([]), goAway(0, 99)], /error code 99/],
  ];
  for (const [what, frames, fault] of bad) {
    it(`is not ${what}`, () => assert.match(read(...frames).fault() ?? 'nothing', fault));
  }
});

describe('what the fuzzer expects of a stream', () => {
  const fields = fieldsOf(REQUEST);
  const answer = { status: 200, headers: new Headers(HEAD.slice(1) as [string, string][]), body: Buffer.from(BODY) };
  const talk: StreamTalk = {
    answers: [answer],
    interims: [],
    rest: Buffer.alloc(0),
    ending: 'closed',
    tookMs: 1,
    resetCode: undefined,
    lostCode: undefined,
    isUnheard: false,
  };
  const verdict = (parts: Partial<StreamTalk>, changed = fields) =>
    checkStream(REQUEST, changed, { ...talk, ...parts }).then(
      () => 'good',
      (thrown: Error) => thrown.message.split('\n', 1)[0]!,
    );
  const malformed: Fields = [...fields, ['connection', 'close']];
  const reset = { answers: [], resetCode: ERROR.protocolError };

  it('is an answer to what is in order, and none to what is malformed', async () => {
    assert.equal(await verdict({}), 'good');
    assert.equal(await verdict(reset, malformed), 'good');
    assert.match(await verdict(reset), /in order was reset with 1/);
    assert.match(await verdict({}, malformed), /malformed request is answered with 200/);
    assert.match(await verdict({ ...reset, resetCode: ERROR.internalError }, malformed), /was reset with 2/);
  });

  it('is all of the answer', async () => {
    assert.match(await verdict({ answers: [{ ...answer, body: Buffer.from(`${BODY} `) }] }), /content-length/);
    assert.match(await verdict({ answers: [], fault: 'an answer of 200 broke off with 0' }), /broke off/);
    assert.match(await verdict({ answers: [] }), /one request has one answer/);
    assert.match(await verdict({ answers: [], ending: 'late' }), /no end of the connection/);
  });

  it('is that the connection stays', async () => {
    assert.match(await verdict({ answers: [], lostCode: 1 }), /the connection was closed with 1/);
    assert.equal(await verdict({ answers: [], lostCode: 1 }, [...fields, ['x-odd', 'y'.repeat(70_000)]]), 'good');
  });

  it('knows good requests from bad ones', () => {
    const standings = BENDS.map((bend) => judge(bend(fields), 0));
    const counts = Map.groupBy(standings, (standing) => standing);
    assert.ok((counts.get('good')?.length ?? 0) > 10 && (counts.get('malformed')?.length ?? 0) > 30);
    assert.equal(judge(fields, 0), 'good');
  });
});

describe('what the fuzzer expects of a connection', () => {
  const asked = [{ streamId: 1, id: 'r0', method: 'GET', target: '/v1/healthz', isUnfinished: false }];
  const input = { packets: [], asked, isStubborn: false, isPlain: false };
  const verdict = (frames: readonly Buffer[], ending: 'closed' | 'late' = 'closed', id = 'r0') => {
    const { streams, goAway: last, fault } = read(...frames);
    const talk = { streams, goAway: last(), fault: fault(), ending, tookMs: 1 };
    return checkFrames({ ...input, asked: asked.map((one) => ({ ...one, id })) }, talk).then(
      () => 'good',
      (thrown: Error) => thrown.message.split('\n', 1)[0]!,
    );
  };

  it('is an answer to each request that is in order, and an end', async () => {
    assert.equal(await verdict(GOOD), 'good');
    assert.match(await verdict(GOOD, 'late'), /no end of the connection/);
    assert.match(await verdict(GOOD, 'closed', 'r1'), /has the id of its request/);
    assert.match(await verdict(GOOD.slice(0, 2)), /has no answer/);
    assert.match(await verdict([settings([]), goAway(0, ERROR.protocolError)]), /has no answer.* 1 for the connection/);
    assert.match(await verdict([settings([]), rstStream(1, ERROR.cancel)]), /has no answer/);
  });
});
