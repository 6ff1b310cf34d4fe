import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Contract, listOperations, type OpenApi } from '../../src/gateway/contract.ts';
import { createRequestChecks } from '../../src/gateway/middleware/request-checks.ts';
import { requestSide } from '../../src/gateway/middleware/request-side.ts';
import { CONTRACT } from '../support/gateway.ts';

/** The contract with one change. */
function changed(change: (document: OpenApi) => void): Contract {
  const document = (): OpenApi => {
    const copy = CONTRACT.document();
    change(copy);
    return copy;
  };
  return { ...CONTRACT, document };
}

describe('the side of the contract that requests are checked by', () => {
  const document = CONTRACT.document();
  const asked = requestSide(document);

  it('has all that is said of requests', () => {
    const requestsOf = (from: OpenApi) =>
      listOperations(from).map(({ operation: { responses, ...request }, ...rest }) => ({ ...rest, ...request }));
    assert.deepEqual(requestsOf(asked), requestsOf(document));
  });

  it('has every schema that it refers to, and no other', () => {
    const text = JSON.stringify(asked);
    const names = new Set([...text.matchAll(/#\/components\/schemas\/(\w+)/g)].map(([, name]) => name!));
    assert.ok(names.has('WorkflowSpec'));
    assert.ok(!names.has('Workflow'));
    assert.deepEqual(Object.keys(asked.components.schemas).sort(), [...names].sort());
  });

  it('has nothing of answers', () => {
    assert.doesNotMatch(JSON.stringify(asked.paths), /"responses"/);
    assert.deepEqual([asked.components.responses, asked.components.headers], [undefined, undefined]);
  });
});

describe('the checks of requests', () => {
  it('are compiled at the start, which a broken schema fails', () => {
    const broken = changed((document) => {
      Object.assign(document.components.schemas.WorkflowSpec!, { properties: { name: { pattern: '(' } } });
    });
    assert.throws(() => createRequestChecks(broken), /Invalid regular expression/);
  });

  it('fail at the start on a schema that is not there', () => {
    const broken = changed((document) => {
      Object.assign(document.components.schemas.WorkflowSpec!, {
        properties: { name: { $ref: '#/components/schemas/Nowhere' } },
      });
    });
    assert.throws(() => createRequestChecks(broken), /can't resolve reference #\/components\/schemas\/Nowhere/);
  });
});
