import fc from 'fast-check';
import { listOperations } from '../../src/gateway/contract.ts';
import { CONTRACT } from '../support/gateway.ts';
import type { Draft, Header } from './request.ts';
import { createArbitraries, type Schema } from './schema-arbitrary.ts';
import type { World } from './world.ts';

interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required?: boolean;
  readonly schema: Schema;
}

const MAX_UINT64 = 2n ** 64n - 1n;
const NOTHING = fc.constant<never[]>([]);
const NO_SUCH_ID = 'no-such-workflow';

/** Parameters that only a server can make up: without them, an operation is asked for its beginning. */
const OPAQUE = new Set(['page_token', 'ticket']);

/** Errors that a request may get although it is all that the contract asks for. */
const PROMISED_ERRORS: Readonly<Record<string, readonly string[]>> = {
  // Short keys come again, at the same time or later.
  submitWorkflow: ['IDEMPOTENCY_KEY_IN_FLIGHT', 'IDEMPOTENCY_KEY_REUSED'],
  // The state of the workflow decides, which other requests change.
  retryWorkflow: ['FAILED_PRECONDITION'],
  rankDesigns: ['FAILED_PRECONDITION'],
  // The static token has no account.
  openCheckout: ['FAILED_PRECONDITION'],
  // Only the files that were built are there.
  getDocsFile: ['NOT_FOUND'],
  getConsolePage: ['NOT_FOUND'],
};

/** What openapi.yaml says in words alone. */
const NAMED: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  EventId: fc.bigInt({ min: 0n, max: MAX_UINT64 }).map(String),
  StripeEvent: fc.record(
    {
      type: fc.constantFrom('checkout.session.completed', 'invoice.paid'),
      data: fc.record({
        object: fc.record(
          {
            id: fc.stringMatching(/^cs_test_[a-z]{3}$/),
            payment_status: fc.constantFrom('paid', 'unpaid'),
            metadata: fc.record({
              foldforge_principal: fc.stringMatching(/^[!-~]{1,20}$/),
              foldforge_credits: fc.bigInt({ min: -1n, max: 10n ** 19n }).map(String),
            }),
          },
          { requiredKeys: [] },
        ),
      }),
    },
    { requiredKeys: ['type'] },
  ),
  ReturnUrl: fc.webUrl({ withQueryParameters: true, withFragments: true }).filter((url) => url.length <= 2_048),
};

/** Requests for each operation of openapi.yaml that it allows, by its id. */
export function createValidRequests(world: World): ReadonlyMap<string, fc.Arbitrary<Draft>> {
  const document = CONTRACT.document();
  const { arbitraryOf } = createArbitraries(document, NAMED);
  const requests = listOperations(document).map(({ method, path, operation, parameters }) => {
    const { operationId } = operation;
    const body = bodySchema(operation.requestBody);
    const draft = fc
      .record({
        path: pathOf(path, world),
        query: fc.tuple(...inPlace(parameters, 'query').map(queryOf)).map((all) => all.flat()),
        headers: fc.tuple(...inPlace(parameters, 'header').map(headerOf)).map((all) => all.flat()),
        json: body ? bodyOf(operationId, body) : fc.constant(undefined),
        credential: credentialFor(operation.security ?? []),
        method: method === 'GET' ? fc.constantFrom('GET', 'GET', 'GET', 'HEAD') : fc.constant(method),
      })
      .map(({ credential, headers, json, ...parts }): Draft => {
        const type: Header[] = body ? [['Content-Type', 'application/json']] : [];
        const isMissing = parts.path.includes(NO_SUCH_ID);
        const promised = isMissing
          ? [404]
          : [...successes(operation.responses), ...(PROMISED_ERRORS[operationId] ?? [])];
        return { operationId, ...parts, headers: [...credential, ...type, ...headers], json, promised };
      });
    return [operationId, draft] as const;
  });
  return new Map(requests);

  function inPlace(parameters: readonly object[], place: Parameter['in']): readonly Parameter[] {
    return (parameters as readonly Parameter[]).filter(({ name, in: where }) => where === place && !OPAQUE.has(name));
  }

  function queryOf({ name, schema, required }: Parameter): fc.Arbitrary<(readonly [string, string])[]> {
    // OpenAPI lets no query parameter be empty unless it says so (allowEmptyValue).
    const texts = arbitraryOf(schema).map((value) =>
      [value]
        .flat()
        .map(String)
        .filter((text) => text !== ''),
    );
    const some = texts.map((all) => all.map((text) => [name, encodeURIComponent(text)] as const));
    return required ? some : fc.oneof(NOTHING, some);
  }

  function headerOf({ name, schema }: Parameter): fc.Arbitrary<Header[]> {
    const isFree = schema.type === 'string' && schema.pattern === undefined && !schema.$ref;
    const value = isFree ? headerText : arbitraryOf(schema).map(String);
    return fc.oneof(
      NOTHING,
      value.map((text): Header[] => [[name, text]]),
    );
  }

  function bodyOf(operationId: string, schema: Schema): fc.Arbitrary<unknown> {
    const body = arbitraryOf(schema);
    return operationId === 'submitWorkflow' ? body.map((spec) => asGraph(spec as SpecJson)) : body;
  }

  function credentialFor(security: readonly Readonly<Record<string, readonly string[]>>[]): fc.Arbitrary<Header[]> {
    const { admin, key, readOnly } = world.tokens;
    const bearer = security.find((requirement) => 'bearer' in requirement);
    if (security.some((requirement) => 'stripeSignature' in requirement))
      return fc.constant([['Stripe-Signature', ''] as const]);
    if (!bearer) return fc.constant([]);
    const tokens = bearer.bearer!.includes('write') ? [key, admin] : [key, admin, readOnly];
    return fc.constantFrom(...tokens).map((token): Header[] => [['Authorization', `Bearer ${token}`]]);
  }
}

function pathOf(template: string, { workflows, artifactKey }: World): fc.Arbitrary<string> {
  const { over, failed, running } = workflows;
  const id = template.includes('{key}')
    ? fc.constantFrom(over, NO_SUCH_ID)
    : fc.constantFrom(over, failed, running, NO_SUCH_ID);
  const page = fc.constantFrom('', 'index.html', 'workflows/x.1', 'assets/none.js', 'a/%20b');
  return fc
    .tuple(id, page)
    .map(([workflow, file]) =>
      template.replace('{id}', workflow).replace('{key}', artifactKey).replace('{path}', file),
    );
}

const headerText = fc.oneof(
  fc.constantFrom('*', '"a"', 'W/"a", "b"', 'bytes=0-9', 'bytes=-5', 'bytes=10-', 'Wed, 21 Oct 2026 07:28:00 GMT'),
  fc.string({ maxLength: 60 }).map((text) => text.trim()),
);

function bodySchema(requestBody: object | undefined): Schema | undefined {
  const { content } = (requestBody ?? {}) as { content?: Readonly<Record<string, { readonly schema: Schema }>> };
  return content?.['application/json']?.schema;
}

function successes(responses: object | undefined): number[] {
  // A range may lie behind the end of the file that there is.
  const isPromised = (status: number) => status < 400 || status === 416;
  return Object.keys(responses ?? {})
    .map(Number)
    .filter(isPromised);
}

interface SpecJson {
  readonly steps: readonly { readonly id: string; readonly depends_on?: readonly string[] }[];
}

/** The steps under names of their own, each after steps that stand before it: what no schema says. */
function asGraph(spec: SpecJson): object {
  const ids = spec.steps.map(({ id }, index) => `${id.slice(0, 58)}.${index}`);
  const steps = spec.steps.map(({ depends_on: wanted, ...step }, index) => {
    const before = new Set(index === 0 ? [] : wanted?.map((name) => ids[name.length % index]!));
    return { ...step, id: ids[index], ...(wanted && { depends_on: [...before] }) };
  });
  return { ...spec, steps };
}
