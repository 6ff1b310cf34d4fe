import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { endRequestSpan } from '../../src/gateway/middleware/request-span.ts';
import type { Span } from '../../src/shared/tracing.ts';

describe('the span of a request', () => {
  for (const [incoming, scheme, version] of [
    [{ httpVersionMajor: 1, httpVersion: '1.1', socket: {} }, 'http', '1.1'],
    [{ httpVersionMajor: 1, httpVersion: '1.0', socket: { encrypted: true } }, 'https', '1.0'],
    [{ httpVersionMajor: 2, httpVersion: '2.0', socket: {} }, 'https', '2'],
  ] as const) {
    it(`says that HTTP/${version} came over ${scheme}`, () => {
      const ended: Parameters<Span['end']>[0][] = [];
      const span = { end: (end: Parameters<Span['end']>[0]) => void ended.push(end) } as Span;
      const facts = { method: 'GET', route: '/v1/healthz', status: 200, requestId: 'a', keyId: undefined };
      endRequestSpan(span, { ...facts, incoming: { ...incoming, headers: {}, url: '/' } as never });
      const { 'url.scheme': said, 'network.protocol.version': spoken } = ended[0]!.attributes as Record<string, string>;
      assert.deepEqual([said, spoken], [scheme, version]);
    });
  }
});
