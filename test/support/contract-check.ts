import assert from 'node:assert/strict';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { type Contract, listOperations } from '../../src/gateway/contract.ts';

interface ResponseObject {
  readonly headers?: Readonly<Record<string, object>>;
  readonly content?: Readonly<Record<string, { readonly schema: object }>>;
}

const compiled = new Map<Contract, ReturnType<typeof compile>>();

/** Fails when an answer is not what openapi.yaml says of its operation and status: media type, body, headers. */
export async function checkAnswer(contract: Contract, method: string, target: string, response: Response) {
  const checker = compiled.get(contract) ?? compile(contract);
  compiled.set(contract, checker);
  const path = target.split('?', 1)[0]!;
  const label = `${method} ${path} → ${response.status}`;
  assert.match(response.headers.get('x-request-id') ?? '', /^[A-Za-z0-9._-]{1,128}$/, `${label}: X-Request-Id`);
  assert.ok(response.headers.has('cache-control'), `${label}: Cache-Control`);
  const retryAfter = response.headers.get('retry-after');
  if (retryAfter !== null) assert.match(retryAfter, /^[1-9]\d*$/, `${label}: Retry-After`);

  const operation = checker.find(method === 'HEAD' ? 'GET' : method, path);
  if (!operation || response.status === 405) {
    assert.ok(response.status === 404 || response.status === 405 || response.status === 204, `${label}: undocumented`);
    if (response.status !== 204 && method !== 'HEAD') checker.checkError(await response.clone().json(), label);
    return;
  }
  const documented = checker.response(operation.operationId, response.status);
  assert.ok(documented, `${label}: openapi.yaml does not have this status for ${operation.operationId}`);
  for (const [name, header] of Object.entries(documented.headers ?? {})) {
    const { required, schema } = checker.follow(header) as {
      required?: boolean;
      schema?: { const?: string; pattern?: string };
    };
    const value = response.headers.get(name);
    if (required) assert.ok(value !== null, `${label}: header ${name} is missing`);
    if (schema?.const && value !== null) assert.equal(value, schema.const, `${label}: header ${name}`);
    if (schema?.pattern && value !== null) assert.match(value, new RegExp(schema.pattern), `${label}: header ${name}`);
  }
  if (method === 'HEAD' || !documented.content) return;
  const mediaType = (response.headers.get('content-type') ?? '').split(';', 1)[0]!;
  const content = documented.content[mediaType] ?? documented.content['*/*'];
  assert.ok(content, `${label}: openapi.yaml does not have the media type ${mediaType}`);
  if (!mediaType.endsWith('json')) return;
  const body = (await response.clone().json()) as Record<string, unknown>;
  const validate = checker.bodyValidator(operation.operationId, response.status, mediaType);
  assert.ok(validate(body), `${label}: ${JSON.stringify(validate.errors)}\n${JSON.stringify(body)}`);
  if (response.status >= 400 && body.code) {
    assert.equal(body.retryable, retryAfter !== null, `${label}: retryable comes with Retry-After`);
    assert.equal(body.request_id, response.headers.get('x-request-id'), `${label}: request_id`);
    assert.equal(body.status, response.status, `${label}: status`);
  }
}

function compile(contract: Contract) {
  const document = contract.document();
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  addFormats.default(ajv);
  ajv.addSchema(document, 'openapi.yaml');
  const operations = listOperations(document).map(({ method, path, operation }) => ({
    method,
    operation: operation as typeof operation & { responses: Record<string, object> },
    pattern: new RegExp(
      `^${path.replaceAll('.', '\\.').replace('{key}', '.+').replace('{path}', '.*').replace('{id}', '[^/]+')}$`,
    ),
    path,
  }));
  const byId = new Map(operations.map((entry) => [entry.operation.operationId, entry]));
  const validators = new Map<string, ValidateFunction>();

  const pointerTo = (value: object): string | undefined => ('$ref' in value ? (value.$ref as string) : undefined);
  const follow = (value: object): object => {
    const pointer = pointerTo(value);
    if (!pointer) return value;
    return pointer
      .slice(2)
      .split('/')
      .reduce<object>((node, part) => (node as Record<string, object>)[part]!, document);
  };
  const validator = (schema: object, key: string): ValidateFunction => {
    // References inside are relative to the document, so they are made absolute.
    const absolute = JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"openapi.yaml#/'));
    const validate = validators.get(key) ?? ajv.compile(absolute);
    validators.set(key, validate);
    return validate;
  };

  return {
    follow,
    find: (method: string, path: string) =>
      operations.find((entry) => entry.method === method && entry.pattern.test(path))?.operation,
    response(operationId: string, status: number): ResponseObject | undefined {
      const response = byId.get(operationId)?.operation.responses[status];
      return response && (follow(response) as ResponseObject);
    },
    bodyValidator(operationId: string, status: number, mediaType: string): ValidateFunction {
      const { content } = this.response(operationId, status)!;
      return validator(content![mediaType]!.schema, `${operationId} ${status} ${mediaType}`);
    },
    checkError(body: unknown, label: string): void {
      const validate = validator({ $ref: '#/components/schemas/Error' }, 'Error');
      assert.ok(validate(body), `${label}: ${JSON.stringify(validate.errors)}`);
    },
  };
}
