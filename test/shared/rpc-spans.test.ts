import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Code, ConnectError } from '@connectrpc/connect';
import { startRpcSpan } from '../../src/shared/rpc-spans.ts';
import type { SpanEnd, Tracing } from '../../src/shared/tracing.ts';

describe('the span of a call', () => {
  const ends: SpanEnd[] = [];
  const span = {
    headers: { traceparent: '' },
    spanId: '',
    isRecorded: true,
    end: (end: SpanEnd) => void ends.push(end),
  };
  const tracing: Tracing = { startSpan: () => span, close: async () => undefined };
  const method = { name: 'Run', parent: { typeName: 'a.B' } };

  for (const [code, name] of [
    [Code.Canceled, 'CANCELLED'],
    [Code.DeadlineExceeded, 'DEADLINE_EXCEEDED'],
    [Code.Unavailable, 'UNAVAILABLE'],
  ] as const) {
    it(`names ${name} as the protocol does`, () => {
      startRpcSpan(tracing, 'client', method, {}).end(new ConnectError('x', code));
      assert.equal(ends.at(-1)?.error, name);
    });
  }
});
