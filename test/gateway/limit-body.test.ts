import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { it } from 'node:test';
import type { RequestContext } from '../../src/gateway/context.ts';
import { createLimitBody } from '../../src/gateway/middleware/limit-body.ts';
import { createTurnstile } from '../../src/shared/turnstile.ts';

const LARGE = 500_000;

/** A request with a large body, and a station that reads it. */
function createRequest() {
  const limitBody = createLimitBody({ limitBytes: LARGE, minBytesPerSecond: 0, turnstile: createTurnstile() });
  const gone = new AbortController();
  const incoming = Object.assign(new PassThrough(), { headers: { 'content-type': 'application/json' } });
  const facts = { call: { signal: gone.signal } };
  const read = limitBody({ env: { incoming, outgoing: {}, facts } } as unknown as RequestContext);
  incoming.end(Buffer.alloc(LARGE, ' '));
  return { incoming, gone, read };
}

it('a large body whose client stays has its turn', async () => {
  const { read } = createRequest();
  await read;
});

it('nothing is done with a large body whose client has left before its turn', async () => {
  const { incoming, gone, read } = createRequest();
  incoming.on('end', () => gone.abort());
  await assert.rejects(async () => read, { code: 'CLIENT_CLOSED_REQUEST' });
});
