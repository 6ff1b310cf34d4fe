import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import type { Facts, RequestContext } from '../../src/gateway/context.ts';
import { GatewayError } from '../../src/gateway/errors.ts';
import { createValidate } from '../../src/gateway/middleware/validate.ts';
import { readIdempotency } from '../../src/gateway/wire/idempotency-key.ts';
import { type WorkflowSpecJson, workflowSpecFromJson } from '../../src/gateway/wire/workflow-spec.ts';
import { WorkflowSpecSchema } from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { signWebhook, WEBHOOK_SECRETS } from '../support/fake-stripe.ts';
import { CONTRACT, startTestGateway, type TestGateway } from '../support/gateway.ts';

const MIB = 2 ** 20;
/**
 * Of this process's time, until a body of 1 MiB is refused or is bytes for the orchestrator. They take some 65 ms at the most; what is
 * quadratic takes minutes.
 */
const CPU_LIMIT_MS = 3_000;

/** A submission with these params as JSON text. */
const withParams = (params: string) => `{"name":"x","steps":[{"id":"a","tool":"af2","params":${params}}]}`;
const withLabels = (labels: string) => `{"name":"x","steps":[{"id":"a","tool":"af2"}],"labels":${labels}}`;

/** As many of `unit` with commas between them as there is room for. */
function fill(unit: (index: number) => string, limit = Number.POSITIVE_INFINITY): string {
  const parts: string[] = [];
  for (let index = 0, sizeChars = 0; index < limit; index++) {
    const part = unit(index);
    sizeChars += part.length + 1;
    if (sizeChars > MIB - 200) break;
    parts.push(part);
  }
  return parts.join();
}

describe('JSON bodies', () => {
  let fake: FakeOrchestrator;
  let gateway: TestGateway;
  before(async () => {
    fake = await startFakeOrchestrator();
    gateway = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      STRIPE_WEBHOOK_SECRETS: WEBHOOK_SECRETS.join(),
    });
  });
  after(async () => {
    await gateway.close();
    await fake.close();
  });
  beforeEach(() => {
    fake.calls.length = 0;
  });

  const send = (body: string, headers: Record<string, string> = {}, path = '/v1/workflows') =>
    gateway.request(path, { method: 'POST', body, headers: { 'Content-Type': 'application/json', ...headers } });

  /** Status and first pointer. */
  async function verdict(body: string, path?: string): Promise<[status: number, pointer: string | undefined]> {
    const answer = await send(body, {}, path);
    const { errors } = (await answer.json()) as { errors?: { pointer: string; message: string }[] };
    return [answer.status, errors?.[0]?.pointer];
  }

  it('are refused where they would arrive as something else, with the place', async () => {
    const cases: [body: string, pointer: string][] = [
      ['{"name":"x","name":"y","steps":[{"id":"a","tool":"af2"}]}', '/name'],
      ['{"name":"x","n\\u0061me":"y","steps":[{"id":"a","tool":"af2"}]}', '/name'],
      [withParams('{"a":{"b/c":1,"b\\/c":2}}'), '/steps/0/params/a/b~1c'],
      [withParams('{"a":[{"__proto__":{"polluted":1}}]}'), '/steps/0/params/a/0/__proto__'],
      [withParams('{"a":[0,1e400]}'), '/steps/0/params/a/1'],
      [withParams('{"seed":18446744073709551615}'), '/steps/0/params/seed'],
      [withParams('{"a":"x\\u0000y"}'), '/steps/0/params/a'],
      [withParams('{"x\\u0000y":1}'), '/steps/0/params'],
      [withParams('{"a":["\\ud83d"]}'), '/steps/0/params/a/0'],
      ['{"name":"a\\u0000","steps":[{"id":"a","tool":"af2"}]}', '/name'],
      [withLabels('{"a":"b\\u0000"}'), '/labels/a'],
      [withLabels('{"a":"1","b":"2","a":"3"}'), '/labels/a'],
      [withLabels('{"__proto__":"1"}'), '/labels/__proto__'],
      // The reviver that looked for half pairs ran out of stack here, and the answer spoke of that.
      [
        withParams(`{"a":"\\ud83d\\ude00","b":${'['.repeat(200_000)}${']'.repeat(200_000)}}`),
        `/steps/0/params/b${'/0'.repeat(60)}`,
      ],
    ];
    for (const [body, pointer] of cases) assert.deepEqual(await verdict(body), [400, pointer], body.slice(0, 100));
    const rank = (body: string) => verdict(body, '/v1/workflows/x/rank');
    assert.deepEqual(await rank('{"metric":"plddt","metric":"pae"}'), [400, '/metric']);
    assert.deepEqual(await rank('{"metric":"p\\u0000"}'), [400, '/metric']);
    assert.deepEqual(await rank('{"metric":"plddt","filters":[{"metric":"pae","max":1e999}]}'), [
      400,
      '/filters/0/max',
    ]);
    assert.equal(fake.calls.length, 0, 'nothing wrong ever reaches the orchestrator');
    assert.equal(({} as { polluted?: number }).polluted, undefined);
  });

  it('keep every name that is only unusual', async () => {
    const params = {
      constructor: 1,
      prototype: { toString: 1 },
      hasOwnProperty: null,
      __proto: 2,
      '': [-0.5, '\u007f'],
    };
    const answer = await send(withParams(JSON.stringify(params)));
    assert.equal(answer.status, 201);
    assert.deepEqual(((await answer.json()) as { steps: { params: object }[] }).steps[0]?.params, params);
  });

  it('have pointers to unknown members, whatever their names are', async () => {
    const step = '"id":"a","tool":"af2"';
    const cases: [body: string, pointer: string][] = [
      [`{"name":"x","steps":[{${step}}],"a/b":1}`, '/a~1b'],
      [`{"name":"x","steps":[{${step},"~/0":1}]}`, '/steps/0/~0~10'],
      [`{"name":"x","steps":[{${step}}],"steps/0":1}`, '/steps~10'],
      [`{"name":"x","steps":[{${step},"resources":{"a~b":1}}]}`, '/steps/0/resources/a~0b'],
      [`{"name":"x","steps":[{${step},"resources":{"/":1}}]}`, '/steps/0/resources/~1'],
      [`{"name":"x","steps":[{${step}}],"":1}`, ''],
      [withLabels('{"a/b~c":1}'), '/labels/a~1b~0c'],
    ];
    for (const [body, pointer] of cases) assert.deepEqual(await verdict(body), [400, pointer], body);
    const long = await send(`{"name":"x","steps":[{${step}}],"${'y'.repeat(900_000)}":1}`);
    assert.equal(long.status, 400);
    assert.ok((await long.text()).length < 1000, 'an answer does not grow with what it is about');
  });

  it('of Stripe are what Stripe makes them, once it has signed them', async () => {
    const members = '"a":1,"a":2,"\\u0000":"\\ud83d","id":12345678901234567890,"big":1e999,"__proto__":{"polluted":1}';
    const body = `{"type":"customer.created",${members},"deep":${'['.repeat(200)}${']'.repeat(200)}}`;
    const answer = await send(body, { 'Stripe-Signature': signWebhook(body) }, '/v1/billing/webhook');
    assert.deepEqual([answer.status, await answer.json()], [200, { received: true, credited: false }]);
    const unsigned = await send(body, { 'Stripe-Signature': signWebhook('{}') }, '/v1/billing/webhook');
    assert.equal(unsigned.status, 401);
    assert.equal(({} as { polluted?: number }).polluted, undefined);
  });

  it('are refused unread when they are larger than the limit', async () => {
    assert.equal((await send(withLabels(`{"a":"${'x'.repeat(10 * MIB)}"}`))).status, 413);
    assert.deepEqual(await verdict(withLabels(`{"a":"${'x'.repeat(MIB - 200)}"}`)), [400, '/labels/a']);
    assert.deepEqual(await verdict(withLabels(`{"${'x'.repeat(MIB - 200)}":"a"}`)), [400, '/labels']);
  });
});

describe('the cost of a JSON body', () => {
  const validate = createValidate(CONTRACT, { wait: () => undefined })('submitWorkflow');

  /** What a submission costs until it is bytes for the orchestrator. Returns whether it was taken. */
  function submit(body: Buffer): boolean {
    const incoming = { url: '/v1/workflows', headers: { 'content-type': 'application/json' } };
    const facts = { bodyBytes: body, call: { signal: new AbortController().signal } } as Facts;
    try {
      validate({ env: { incoming, facts }, req: { param: () => ({}) } } as unknown as RequestContext);
      const spec = workflowSpecFromJson(facts.input.body as WorkflowSpecJson);
      readIdempotency('a', facts.bodyText);
      toBinary(WorkflowSpecSchema, create(WorkflowSpecSchema, spec));
      return true;
    } catch (error) {
      assert.ok(error instanceof GatewayError && error.code === 'INVALID_ARGUMENT', String(error));
      return false;
    }
  }

  const members = (writeName: (index: number) => string) =>
    withParams(`{${fill((index) => `"${writeName(index)}":0`, 24_980)}}`);
  const shapes: [name: string, body: string, isTaken: boolean][] = [
    ['values', withParams(`{"a":[${fill(() => '0')}]}`), false],
    ['as many values as may be', withParams(`{"a":[${fill(() => '0', 49_980)}]}`), true],
    ['objects', withParams(`{"a":[${fill(() => '{"a":0}', 16_650)}]}`), true],
    ['members', withParams(`{${fill((index) => `"${index.toString(36)}":0`)}}`), false],
    ['as many members as may be', members((index) => `x${index.toString(36)}`), true],
    ['members with long names', members((index) => `x${index}`.padEnd(36, 'y')), true],
    ['members with escapes', members((index) => `\\u0078${index.toString(36)}`), true],
    ['members with numbers as names', members((index) => String(index * 1000)), true],
    ['arrays in one another', withParams(`{"a":[${fill(() => '['.repeat(30) + ']'.repeat(30), 1_600)}]}`), true],
    ['levels', withParams(`{"a":${'['.repeat(MIB / 2 - 100)}${']'.repeat(MIB / 2 - 100)}}`), false],
    ['escapes', withParams(`{"a":"${'\\n'.repeat(MIB / 2 - 100)}"}`), true],
    ['pairs', withParams(`{"a":"${'\\ud83d\\ude00'.repeat(MIB / 12 - 100)}"}`), true],
    ['digits', withParams(`{"a":${'9'.repeat(MIB - 200)}}`), false],
    ['digits of zero', withParams(`{"a":0.${'0'.repeat(MIB - 200)}}`), true],
    ['whitespace', withParams(`{}${' '.repeat(MIB - 200)}`), true],
    ['steps', `{"name":"x","steps":[${fill(() => '{}', 49_000)}]}`, false],
    ['labels', withLabels(`{${fill((index) => `"${index.toString(36)}":""`, 24_000)}}`), false],
    ['a label', withLabels(`{"a":"${'x'.repeat(MIB - 200)}"}`), false],
    ['a name of a label', withLabels(`{"${'x'.repeat(MIB - 200)}":""}`), false],
    [
      'an unknown member',
      `{"name":"x","steps":[{"id":"a","tool":"t","resources":{"${'/'.repeat(MIB - 200)}":1}}]}`,
      false,
    ],
    ['the largest graph', largestGraph(), true],
  ];

  for (const [name, text, isTaken] of shapes) {
    it(`is bounded: ${name}`, (t) => {
      const body = Buffer.from(text);
      assert.ok(body.length <= MIB);
      // The best of three: what is compiled, and what the garbage of another test costs, is not this body's.
      const costsMs = Array.from({ length: 3 }, () => {
        const before = process.cpuUsage();
        assert.equal(submit(body), isTaken);
        const { user, system } = process.cpuUsage(before);
        return (user + system) / 1000;
      });
      t.diagnostic(`${name}: ${Math.min(...costsMs).toFixed(1)} ms`);
      assert.ok(Math.min(...costsMs) < CPU_LIMIT_MS, `${costsMs.join(', ')} ms`);
    });
  }
});

/** 256 steps that each depend on all before it. */
function largestGraph(): string {
  const ids = Array.from({ length: 256 }, (_, index) => `s${index}`);
  const resources = { gpu_type: 'a100', gpu_count: 1, cpu_cores: 1, memory_mb: 1, timeout_seconds: 1 };
  const steps = ids.map((id, index) => ({ id, tool: 'af2', depends_on: ids.slice(0, index), params: {}, resources }));
  return JSON.stringify({ name: 'x', steps });
}
