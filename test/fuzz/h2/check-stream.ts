import assert from 'node:assert/strict';
import { ERROR, type Fields } from '../../support/h2-frames.ts';
import { checkRequest } from '../oracle.ts';
import type { Request } from '../request.ts';
import { judge } from './fields.ts';
import type { StreamTalk } from './session.ts';

/** What a server may say of a request that it does not answer. */
const REFUSALS = new Set<number>([ERROR.protocolError, ERROR.enhanceYourCalm]);

/** Fails unless the talk on one stream is one that the contract, and RFC 9113, promise. */
export async function checkStream(request: Request, fields: Fields, talk: StreamTalk): Promise<void> {
  const standing = judge(fields, request.body.length);
  const { answers, resetCode, lostCode } = talk;
  if (lostCode !== undefined) {
    const why = talk.fault ?? lostCode;
    assert.equal(standing, 'fatal', `the connection was closed with ${why}, and this request is ${standing}`);
    return;
  }
  const [answer] = answers;
  // That its body is not as long as it says may come out after an answer has begun.
  if (!answer && resetCode !== undefined && (talk.fault === undefined || standing === 'malformed')) {
    assert.ok(REFUSALS.has(resetCode), `the request was reset with ${resetCode}`);
    assert.notEqual(standing, 'good', `a request that is in order was reset with ${resetCode}`);
    return;
  }
  if (answer && standing === 'malformed') {
    assert.ok(answer.status >= 400, `a malformed request is answered with ${answer.status}`);
  }
  // What was sent in place of it.
  const of = (wanted: string) => fields.find(([name]) => name === wanted)?.[1] ?? '';
  const sent = { ...request, method: of(':method'), target: of(':path'), headers: fields };
  await checkRequest(sent, talk);
  if (!answer || answer.endless) return;
  const hasBody = sent.method !== 'HEAD' && answer.status !== 204 && answer.status !== 304;
  if (!hasBody) assert.equal(answer.body.length, 0, `a body with ${sent.method} and ${answer.status}`);
  const length = answer.headers.get('content-length');
  if (hasBody && length !== null) assert.equal(answer.body.length, Number(length), 'content-length');
  assert.ok(answer.status !== 204 || length === null, '204 with the length of a body');
}
