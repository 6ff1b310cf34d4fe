import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readRetryAfter } from '../../src/client/call.ts';
import { type Answer, html, inTurn, json, lost, pieces, refusal, runIn, workflow } from './scene.ts';

const SPEC = { stdin: '{"name":"x","steps":[]}' };

/** Faults that pass, whatever the call. */
const PASSING: readonly (readonly [string, Answer])[] = [
  ['a connection that is refused', lost('ECONNREFUSED')],
  ['an answer that the API calls retryable', refusal(503, 'UNAVAILABLE', { retryable: true, retryAfter: '1' })],
];

/** Faults after which nobody knows what became of the call. */
const LOST: readonly (readonly [string, Answer])[] = [
  ['a connection that is lost', lost('ECONNRESET')],
  ['a body that breaks off', () => new Response(pieces(['{"id":'], { breaksOff: true }), { status: 200 })],
  ['502 of a proxy', html(502)],
  ['504 of a proxy', html(504)],
  ['a deadline', refusal(504, 'DEADLINE_EXCEEDED')],
];

describe('what is repeated', () => {
  for (const [name, fault] of [...PASSING, ...LOST]) {
    it(`a read, after ${name}`, async () => {
      const { exitCode, sent, stderr } = await runIn(['get', 'wf-1'], {
        answer: inTurn(fault, fault, json(workflow('RUNNING'))),
      });
      assert.deepEqual([exitCode, sent.length], [0, 3]);
      assert.match(stderr, /^foldforge: .+; trying again in \d+ s\n$/, 'it is said once');
    });

    it(`a submission, after ${name}: the same one`, async () => {
      const answer = inTurn(fault, fault, json(workflow('QUEUED'), 201));
      const { exitCode, stdout, sent } = await runIn(['submit', '-'], { ...SPEC, answer });
      assert.deepEqual([exitCode, stdout, sent.length], [0, 'wf-1\n', 3]);
      const repeated = sent.map(({ method, path, body, headers }) => [
        method,
        path,
        body,
        headers.get('idempotency-key'),
      ]);
      assert.match(repeated[0]![3]!, /./);
      assert.deepEqual(repeated, [repeated[0], repeated[0], repeated[0]]);
    });
  }

  for (const [name, fault] of PASSING) {
    it(`a retry, after ${name}`, async () => {
      const { exitCode, sent } = await runIn(['retry', 'wf-1'], { answer: inTurn(fault, json(workflow('QUEUED'))) });
      assert.deepEqual([exitCode, sent.length], [0, 2]);
    });
  }
});

describe('what is not repeated', () => {
  for (const [name, fault] of LOST) {
    it(`a retry, after ${name}: it may have begun`, async () => {
      const { exitCode, sent } = await runIn(['retry', 'wf-1'], { answer: inTurn(fault) });
      assert.deepEqual([exitCode, sent.length], [69, 1]);
    });
  }

  it('what the API calls final', async () => {
    for (const answer of [refusal(400, 'INVALID_ARGUMENT'), refusal(500, 'INTERNAL'), refusal(503, 'NOT_CONFIGURED')]) {
      const { sent } = await runIn(['get', 'wf-1'], { answer: inTurn(answer) });
      assert.equal(sent.length, 1);
    }
  });

  it('what waiting does not mend', async () => {
    for (const code of ['ENOTFOUND', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'ERR_TLS_CERT_ALTNAME_INVALID']) {
      const { exitCode, stderr } = await runIn(['get', 'wf-1'], { answer: inTurn(lost(code)) });
      assert.deepEqual([exitCode, stderr], [69, `foldforge: the server cannot be reached: read ${code}\n`]);
    }
  });

  it('what fetch does not even try', async () => {
    const answer = () => {
      throw new TypeError('fetch failed', { cause: new Error('bad port') });
    };
    const { exitCode, sent } = await runIn(['get', 'wf-1'], { answer });
    assert.deepEqual([exitCode, sent.length], [69, 1]);
  });
});

describe('how long it goes on', () => {
  it('waits as long as the server asks for', async () => {
    const answer = inTurn(
      refusal(429, 'QUOTA_EXCEEDED', { retryable: true, retryAfter: '30' }),
      html(503, { 'Retry-After': '7' }),
      json(workflow('QUEUED'), 201),
    );
    const { exitCode, waits } = await runIn(['submit', '-'], { ...SPEC, answer });
    assert.equal(exitCode, 0);
    assert.ok(waits[0]! >= 30_000 && waits[0]! <= 31_000, String(waits[0]));
    assert.ok(waits[1]! >= 7_000 && waits[1]! <= 8_000, String(waits[1]));
  });

  it('gives up at once when that is too long, and says how long it would be', async () => {
    const answer = inTurn(refusal(429, 'QUOTA_EXCEEDED', { retryable: true, retryAfter: '3600' }));
    const { exitCode, waits, stderr } = await runIn(['submit', '-'], { ...SPEC, answer });
    assert.deepEqual([exitCode, waits], [4, []]);
    assert.match(stderr, /\n {2}it can be repeated in 3600 s\n/);
  });

  it('waits longer each time, and for no longer than --timeout in all', async () => {
    for (const [args, seconds] of [
      [[], 60],
      [['--timeout', '5'], 5],
    ] as const) {
      const { exitCode, waits, sent, stderr } = await runIn(['get', 'wf-1', ...args], { answer: lost('ECONNREFUSED') });
      assert.equal(exitCode, 69);
      assert.equal(sent.length, waits.length + 1);
      const waited = waits.reduce((sum, delay) => sum + delay, 0) / 1000;
      assert.ok(waited <= seconds && waited > seconds - 10.5, `${waited} of ${seconds} s`);
      assert.ok(waits.every((delay, index) => delay >= Math.min(500 * 2 ** index, 10_000) / 2));
      assert.match(stderr, /the server cannot be reached: read ECONNREFUSED\n$/);
    }
  });

  it('says how a submission without an answer can be repeated', async () => {
    const { exitCode, stderr, sent } = await runIn(['submit', '-', '--timeout', '0'], {
      ...SPEC,
      answer: lost('EPIPE'),
    });
    assert.equal(exitCode, 69);
    const key = sent[0]!.headers.get('idempotency-key');
    assert.ok(stderr.startsWith(`foldforge: to repeat this without submitting twice: --idempotency-key ${key}\n`));
  });

  it('understands both forms of Retry-After', () => {
    assert.equal(readRetryAfter(null), undefined);
    assert.equal(readRetryAfter('soon'), undefined);
    assert.equal(readRetryAfter('0'), 0);
    assert.equal(readRetryAfter('120'), 120_000);
    assert.equal(readRetryAfter('Sun, 06 Nov 1994 08:49:37 GMT'), 0);
    const inAMinute = readRetryAfter(new Date(Date.now() + 60_000).toUTCString())!;
    assert.ok(inAMinute > 50_000 && inAMinute <= 60_000);
  });
});

describe('a redirect', () => {
  it('is not followed: the key goes nowhere else', async () => {
    const answer = inTurn(() => new Response('', { status: 301, headers: { Location: 'https://elsewhere.test/' } }));
    const { exitCode, stderr, sent } = await runIn(['get', 'wf-1'], { answer });
    assert.deepEqual([exitCode, sent.length, sent[0]!.redirect], [78, 1, 'manual']);
    assert.equal(stderr, 'foldforge: 301 HTTP_301: redirects to https://elsewhere.test/\n');
  });
});
