import assert from 'node:assert/strict';
import { checkDocumented, checkErrorBody, checkFault, checkHeaders } from '../oracle.ts';
import type { FramesTalk } from './conversation.ts';
import type { FramesInput } from './raw.ts';

/** Fails unless what came on a connection is HTTP/2, and each answer on it one that the contract promises. */
export async function checkFrames({ asked }: FramesInput, talk: FramesTalk): Promise<void> {
  const { streams, fault, ending, tookMs, goAway } = talk;
  assert.equal(fault, undefined, `what came is not HTTP/2: ${fault}`);
  assert.notEqual(ending, 'late', `no end of the connection in ${Math.round(tookMs)} ms`);
  for (const { status, headers, chunks, isEnded } of streams.values()) {
    if (status === undefined) continue;
    const answer = { status, headers, body: Buffer.concat(chunks) };
    checkFault(answer);
    checkHeaders(answer);
    if (status >= 400 && isEnded && answer.body.length > 0) checkErrorBody(answer);
  }
  for (const { streamId, id, method, target, isUnfinished } of asked) {
    const stream = streams.get(streamId);
    const seen = `${stream?.status ?? 'no status'} and ${stream?.resetCode ?? 'no reset'} on stream ${streamId}`;
    const end = `${seen}, ${goAway?.code ?? 'no word'} for the connection, in ${Math.round(tookMs)} ms`;
    assert.ok(stream?.status !== undefined && stream.isEnded, `a request that is in order has no answer: ${end}`);
    const { status, headers, chunks } = stream;
    const answer = { status, headers, body: Buffer.concat(chunks) };
    assert.equal(headers.get('x-request-id'), id, 'the answer has the id of its request');
    await checkDocumented(method, target, answer);
    if (isUnfinished) assert.ok(status >= 400, `half a request is answered with ${status}`);
  }
}
