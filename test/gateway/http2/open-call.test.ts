import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Code, type ConnectError } from '@connectrpc/connect';
import { type CallParts, openCall } from '../../../src/gateway/upstream/grpc/open-call.ts';
import { createRequestHeaders, withTimeLeft } from '../../../src/gateway/upstream/grpc/request-header.ts';
import type { Connection, StreamHandler } from '../../../src/gateway/upstream/http2/connection.ts';
import { StreamError } from '../../../src/gateway/upstream/http2/errors.ts';
import { createHpackDecoder } from '../../../src/gateway/upstream/http2/hpack/decoder.ts';
import type { Target, Waiter } from '../../../src/gateway/upstream/http2/stream-source.ts';
import { createRetryBudget } from '../../../src/gateway/upstream/retry-budget.ts';
import { OrchestratorService } from '../../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';

const headers = createRequestHeaders(new URL('http://orchestrator:1'), undefined);
const method = OrchestratorService.method.getWorkflow;
const TARGET: Target = { authority: Buffer.alloc(0), judge() {}, elsewhere: () => undefined };

function fieldsOf(block: Buffer): Record<string, string> {
  const fields: Record<string, string> = {};
  const decoder = createHpackDecoder({ tableSizeBytes: 4096 });
  decoder.decode(block, 0, block.length, (name, value) => {
    fields[name] = value;
  });
  return fields;
}

/** Stands still with everything that this process does, so that its timers are late. */
function block(ms: number): void {
  for (const until = performance.now() + ms; performance.now() < until; );
}

/** A call in line, and a connection that keeps what is sent. */
function openScene({ timeoutMs, ...parts }: Partial<CallParts> = {}) {
  const line = new Set<Waiter>();
  const sent: { block: Buffer; handler: StreamHandler }[] = [];
  const failures: ConnectError[] = [];
  let requests = 0;
  const connection = {
    open(sentBlock: Buffer, _body: Uint8Array, handler: StreamHandler) {
      sent.push({ block: sentBlock, handler });
      return {};
    },
    cancel() {},
    probe() {},
  } as unknown as Connection;
  const call = openCall(
    {
      source: {
        request(waiter) {
          requests++;
          line.add(waiter);
        },
        leaveLine: (waiter) => line.delete(waiter),
      },
      header: headers.encode(method, timeoutMs, { 'ff-principal': 'alice' }),
      body: Buffer.alloc(5),
      signal: undefined,
      retries: undefined,
      timeoutMs,
      ...parts,
    },
    { header() {}, data() {}, end() {}, fail: (error) => failures.push(error) },
  );
  return {
    call,
    line,
    sent,
    failures,
    requests: () => requests,
    /** Has its turn, as a channel gives it. */
    begin(): void {
      const [waiter] = line;
      line.delete(waiter!);
      waiter!.begin(connection, TARGET);
    },
  };
}

describe('a call that has waited for its connection', () => {
  it('is not sent when its time is up, though its timer is late', () => {
    const { begin, sent, failures } = openScene({ timeoutMs: 20 });
    block(25);
    begin();
    assert.equal(sent.length, 0);
    assert.deepEqual(
      failures.map(({ code }) => code),
      [Code.DeadlineExceeded],
    );
  });

  it('tells the server how much time is left', () => {
    const { call, begin, sent } = openScene({ timeoutMs: 1_000 });
    block(30);
    begin();
    const { 'grpc-timeout': timeout, ...others } = fieldsOf(sent[0]!.block);
    const toldMs = Number(/^(\d+)m$/.exec(timeout!)![1]);
    assert.ok(toldMs > 0 && toldMs <= 970, timeout);
    const { 'grpc-timeout': _timeout, ...before } = fieldsOf(headers.encode(method, 1, { 'ff-principal': 'alice' }));
    assert.deepEqual(others, before);
    call.fail(new StreamError('over') as never);
  });

  it('is sent as it was encoded when it need not wait', () => {
    const { call, begin, sent } = openScene({ timeoutMs: 60_000 });
    begin();
    assert.equal(fieldsOf(sent[0]!.block)['grpc-timeout'], '60000m');
    call.fail(new StreamError('over') as never);
  });

  it('leaves the line when its caller goes', () => {
    const caller = new AbortController();
    const { line, failures } = openScene({ signal: caller.signal, timeoutMs: 1_000 });
    assert.equal(line.size, 1);
    caller.abort();
    assert.equal(line.size, 0);
    assert.equal(failures[0]?.code, Code.Canceled);
  });
});

describe('the header of a call with other time', () => {
  it('has it in place of the old one, whatever both are', () => {
    for (const timeoutMs of [1, 9, 10, 9_999, 99_999_999, 3_000_000_000]) {
      for (const timeLeftMs of [1, 0.5, 7, 1_234.5, 99_999_999]) {
        const block = withTimeLeft(headers.encode(method, timeoutMs, { a: 'b' }), timeoutMs, timeLeftMs);
        assert.deepEqual(fieldsOf(block), fieldsOf(headers.encode(method, timeLeftMs, { a: 'b' })));
      }
    }
  });
});

describe('a call that the server has not looked at', () => {
  const refused = () => new StreamError('refused', { isUnprocessed: true });

  it('is made again five times at most, each paid for by the budget', () => {
    const retries = createRetryBudget({ reserve: 100 });
    const { begin, sent, failures } = openScene({ retries });
    for (let attempt = 0; attempt < 5; attempt++) {
      begin();
      sent[attempt]!.handler.fail(refused());
    }
    assert.equal(failures[0]?.code, Code.Unavailable);
    let left = 0;
    while (retries.take()) left++;
    assert.equal(left, 96);
  });

  it('fails when the budget is spent', () => {
    const { begin, sent, failures, requests } = openScene({ retries: createRetryBudget({ reserve: 1 }) });
    for (let attempt = 0; attempt < 2; attempt++) {
      begin();
      sent[attempt]!.handler.fail(refused());
    }
    assert.equal(requests(), 2);
    assert.equal(failures[0]?.code, Code.Unavailable);
  });

  it('is not made again when its time is up', () => {
    const { begin, sent, failures } = openScene({ retries: createRetryBudget(), timeoutMs: 20 });
    begin();
    block(25);
    sent[0]!.handler.fail(refused());
    begin();
    assert.equal(sent.length, 1);
    assert.equal(failures[0]?.code, Code.DeadlineExceeded);
  });
});
