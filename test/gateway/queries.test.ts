import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Facts, RequestContext } from '../../src/gateway/context.ts';
import { GatewayError } from '../../src/gateway/errors.ts';
import { createValidate } from '../../src/gateway/middleware/validate.ts';
import { CONTRACT } from '../support/gateway.ts';

/** Of this process's time, for a query of 8 KiB or a header. */
const CPU_LIMIT_MS = 10;

describe('queries and headers', () => {
  const validate = createValidate(CONTRACT, { wait: () => undefined });

  /** What a request is taken as, or the first pointer of its refusal. */
  function read(operationId: string, query: string, headers: Record<string, string> = {}, body = '') {
    const incoming = {
      url: `/x?${query}`,
      headers: { ...(body && { 'content-type': 'application/json' }), ...headers },
    };
    const facts = { bodyBytes: Buffer.from(body), call: { signal: new AbortController().signal } } as Facts;
    try {
      validate(operationId)({
        env: { incoming, facts },
        req: { param: () => ({ id: 'a' }) },
      } as unknown as RequestContext);
      return facts.input.query;
    } catch (error) {
      assert.ok(error instanceof GatewayError && error.code === 'INVALID_ARGUMENT', String(error));
      return error.faults![0]!.pointer;
    }
  }

  it('have no number that is larger than any, and no NUL', () => {
    assert.deepEqual({ ...(read('listWorkflows', 'page_size=0000000000100') as object) }, { page_size: 100 });
    for (const [operationId, name] of [
      ['listWorkflows', 'page_size'],
      ['listLedger', 'limit'],
      ['getWorkflow', 'wait'],
      ['streamWorkflowEvents', 'heartbeat'],
    ] as const) {
      for (const digits of ['9'.repeat(400), `-${'9'.repeat(400)}`, '9'.repeat(16), '101000000', '']) {
        assert.equal(read(operationId, `${name}=${digits}`), `#/query/${name}`, digits);
      }
    }
    for (const query of ['label=a%3D%00', 'page_token=%00', 'label=a%3Db&label=c%3D%00']) {
      assert.equal(read('listWorkflows', query), `#/query/${query.slice(0, query.indexOf('='))}`);
    }
  });

  it('cost little, however they are made', () => {
    const cut = (text: string) => text.slice(0, 8_100);
    const many = (write: (index: number) => string) =>
      cut(Array.from({ length: 2_700 }, (_, index) => write(index)).join('&'));
    const checkout = (url: string) => JSON.stringify({ credits: 100, success_url: url, cancel_url: 'https://x' });
    const requests: [label: string, ...Parameters<typeof read>][] = [
      ['a parameter again and again', 'listWorkflows', many(() => 'label=')],
      ['as many pairs', 'listWorkflows', many(() => 'label=a%3Db')],
      ['names that differ', 'listWorkflows', many((index) => index.toString(36))],
      ['nothing but &', 'listWorkflows', cut('&'.repeat(10_000))],
      ['a long value', 'listWorkflows', cut(`label=${'%41'.repeat(3_000)}`)],
      ['a long key', 'submitWorkflow', '', { 'idempotency-key': '!'.repeat(16_000) }, '{}'],
      ['a long key in quotes', 'submitWorkflow', '', { 'idempotency-key': `"${'\\"'.repeat(8_000)}` }, '{}'],
      ['a URL that ends badly', 'openCheckout', '', {}, checkout(`https://${'a'.repeat(2_030)} `)],
    ];
    for (const [label, ...request] of requests) {
      const costsMs = Array.from({ length: 3 }, () => {
        const before = process.cpuUsage();
        read(...request);
        const { user, system } = process.cpuUsage(before);
        return (user + system) / 1000;
      });
      assert.ok(Math.min(...costsMs) < CPU_LIMIT_MS, `${label}: ${costsMs.join(', ')} ms`);
    }
  });
});
