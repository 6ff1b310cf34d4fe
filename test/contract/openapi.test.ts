import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { middleware as expressOpenApiValidator } from 'express-openapi-validator';
import packageJson from '../../package.json' with { type: 'json' };
import { type AppParts, listRoutes } from '../../src/gateway/app.ts';
import { listOperations, type OpenApi, readAccess } from '../../src/gateway/contract.ts';
import { ERRORS } from '../../src/gateway/errors.ts';
import { createArtifactRoutes } from '../../src/gateway/routes/artifacts.ts';
import { createBillingRoutes } from '../../src/gateway/routes/billing.ts';
import { createEventRoutes } from '../../src/gateway/routes/events.ts';
import { createHealthRoutes } from '../../src/gateway/routes/health.ts';
import { createPageRoutes } from '../../src/gateway/routes/pages.ts';
import { createWorkflowRoutes } from '../../src/gateway/routes/workflows.ts';
import { CONTRACT } from '../support/gateway.ts';

interface Node {
  readonly [key: string]: unknown;
}

const document = CONTRACT.document() as unknown as Node;
const operations = listOperations(CONTRACT.document());

/** Every object in the document, with the way to it. */
function* walk(node: unknown, way = ''): Generator<[way: string, node: Node]> {
  if (typeof node !== 'object' || node === null) return;
  if (!Array.isArray(node)) yield [way, node as Node];
  for (const [key, child] of Object.entries(node)) {
    yield* walk(child, `${way}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`);
  }
}

function resolve(pointer: string): unknown {
  return pointer
    .slice(2)
    .split('/')
    .reduce<unknown>((node, part) => (node as Node)?.[part.replaceAll('~1', '/').replaceAll('~0', '~')], document);
}

describe('openapi.yaml', () => {
  it('is valid OpenAPI 3.1', async () => {
    const [first] = expressOpenApiValidator({
      apiSpec: CONTRACT.document() as never,
      validateApiSpec: true,
      validateSecurity: false,
      fileUploader: false,
    }) as unknown as ((request: object, response: object, next: (error?: unknown) => void) => unknown)[];
    const app = { enabled: () => false, param: () => undefined };
    await new Promise<void>((done, fail) => void first!({ app }, {}, (error) => (error ? fail(error) : done())));
  });

  it('has no reference that leads nowhere', () => {
    for (const [way, node] of walk(document)) {
      if (typeof node.$ref === 'string') assert.ok(resolve(node.$ref), `${way}: ${node.$ref}`);
    }
  });

  it('has every component used', () => {
    const text = JSON.stringify(document);
    const { securitySchemes: _schemes, ...kinds } = document.components as Record<string, Node>;
    for (const [kind, components] of Object.entries(kinds)) {
      for (const name of Object.keys(components)) {
        assert.ok(text.includes(`"#/components/${kind}/${name}"`), `${kind}/${name}`);
      }
    }
  });

  it('has examples that its own schemas accept', () => {
    const ajv = new Ajv2020({ strict: false, allErrors: true });
    addFormats.default(ajv);
    ajv.addSchema(document, 'openapi.yaml');
    let examples = 0;
    for (const [way, node] of walk(document)) {
      if (!('example' in node) || !('schema' in node)) continue;
      const validate = ajv.compile(JSON.parse(JSON.stringify(node.schema).replaceAll('"#/', '"openapi.yaml#/')));
      assert.ok(validate(node.example), `${way}: ${JSON.stringify(validate.errors)}`);
      examples++;
    }
    assert.ok(examples > 20, `${examples} examples`);
  });

  it('has an example for every JSON body', () => {
    for (const [way, node] of walk(document.paths, '/paths')) {
      const json = (node.content as Node | undefined)?.['application/json'] as Node | undefined;
      const schema = json?.schema as Node | undefined;
      if (!json) continue;
      // The same workflow need not be shown again, nor this document in itself.
      const shared = schema?.$ref === '#/components/schemas/Workflow' || schema?.type === 'object';
      assert.ok('example' in json || shared, way);
    }
  });

  it('says of each operation what can happen to it', () => {
    assert.equal(new Set(operations.map(({ operation }) => operation.operationId)).size, operations.length);
    for (const { operation } of operations) {
      const { operationId, security, responses, requestBody, summary, tags } = operation as typeof operation & Node;
      const statuses = new Set(Object.keys(responses as Node));
      assert.ok(summary && (tags as string[]).length === 1, operationId);
      const expected = ['400', '500'];
      const schemes = security?.flatMap((requirement) => Object.keys(requirement)) ?? [];
      if (schemes.length > 0) expected.push('401', '501', '502', '503', '504');
      // Stripe may do no more than deliver, so what it delivers is not refused for these.
      if (!schemes.includes('stripeSignature') && schemes.length > 0) expected.push('403', '404', '409');
      if (requestBody) expected.push('413', '415');
      for (const status of expected) assert.ok(statuses.has(status), `${operationId} lacks ${status}`);
      assert.ok(
        [...statuses].some((status) => status.startsWith('2')),
        operationId,
      );
    }
  });

  it('says of each operation whether a read-only key is good for it', () => {
    const accesses = readAccess(CONTRACT.document());
    const scopes = Object.fromEntries([...accesses].map(([id, { scope }]) => [id, scope]));
    for (const { method, operation } of operations) {
      const { operationId } = operation;
      if (method === 'GET' && accesses.get(operationId)!.schemes.size > 0) assert.equal(scopes[operationId], 'read');
      if (method === 'DELETE') assert.equal(scopes[operationId], 'write');
    }
    const { submitWorkflow, retryWorkflow, rankDesigns, createStreamTicket } = scopes;
    assert.deepEqual([submitWorkflow, retryWorkflow], ['write', 'write']);
    assert.deepEqual([rankDesigns, createStreamTicket], ['read', 'read']);
  });

  it('is refused when an operation does not say what it needs', () => {
    const withSecurity = (security: unknown) => {
      const spoiled = CONTRACT.document() as unknown as { paths: Record<string, { get: { security?: unknown } }> };
      spoiled.paths['/v1/billing/balance']!.get.security = security;
      return spoiled as unknown as OpenApi;
    };
    for (const silent of [undefined, [{ bearer: [] }], [{ bearer: ['admin'] }], [{ bearer: ['read', 'write'] }]]) {
      assert.throws(() => readAccess(withSecurity(silent)), /openapi\.yaml.*getBalance/, JSON.stringify(silent));
    }
    assert.throws(() => readAccess(withSecurity([{ bearer: ['read'] }, { streamTicket: ['write'] }])), /getBalance/);
    assert.equal(readAccess(withSecurity([{ bearer: ['write'] }])).get('getBalance')?.scope, 'write');
  });

  it('names exactly the error codes that there are', () => {
    const { enum: documented } = resolve('#/components/schemas/Error/properties/code') as { enum: string[] };
    const answered = Object.keys(ERRORS).filter((code) => code !== 'CLIENT_CLOSED_REQUEST');
    assert.deepEqual(documented.toSorted(), answered.toSorted());
  });

  it('has the version of the package', () => {
    assert.equal(CONTRACT.version, packageJson.version);
  });

  it('has exactly the routes of the route table, guarded as it says', () => {
    const nothing = {} as never;
    const limits = { heartbeatMs: 1, bufferBytes: 1, stallMs: 1 };
    const parts = {
      limitBody: async () => undefined,
      workflows: createWorkflowRoutes({
        orchestrator: nothing,
        acceptance: nothing,
        transcoder: nothing,
        longPolls: nothing,
        turnstile: nothing,
        timeoutMs: 1,
      }),
      events: createEventRoutes({
        orchestrator: nothing,
        hub: nothing,
        metrics: nothing,
        lifecycle: nothing,
        slots: nothing,
        tickets: nothing,
        limits,
        logFault: nothing,
      }),
      artifacts: createArtifactRoutes({
        records: nothing,
        store: nothing,
        slots: nothing,
        metrics: nothing,
        delivery: 'proxy',
        idleMs: 1,
        logFault: nothing,
      }),
      billing: createBillingRoutes({ orchestrator: nothing, payments: nothing, topUps: nothing }),
      health: createHealthRoutes({ contract: CONTRACT, lifecycle: nothing, metrics: nothing, readiness: nothing }),
      pages: createPageRoutes({ docs: undefined, console: undefined, connectOrigins: [] }),
    } as unknown as AppParts;
    const table = listRoutes(parts).map(([method, path, handler, ...guards]) => ({
      route: `${method} ${path}`,
      operationId: handler.name,
      body: guards.includes(parts.limitBody),
    }));
    const documented = operations.map(({ method, path, operation }) => ({
      route: `${method} ${path}`,
      operationId: operation.operationId,
      body: operation.requestBody !== undefined,
    }));
    const byRoute = (a: { route: string }, b: { route: string }) => a.route.localeCompare(b.route);
    assert.deepEqual(table.sort(byRoute), documented.sort(byRoute));
  });
});
