import assert from 'node:assert/strict';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { checkAnswer } from '../support/contract-check.ts';
import { CONTRACT } from '../support/gateway.ts';
import type { WireAnswer } from './answers.ts';
import type { Conversation } from './conversation.ts';
import type { RawInput } from './raw.ts';
import type { Request } from './request.ts';

/** What is refused before anybody knows which operation is meant. */
const BEFORE_ROUTING = new Set([400, 408, 414, 417, 421, 431]);

const ajv = new Ajv2020({ strict: false });
addFormats.default(ajv);
ajv.addSchema(CONTRACT.document(), 'openapi.yaml');
const isErrorBody: ValidateFunction = ajv.compile({ $ref: 'openapi.yaml#/components/schemas/Error' });

/** Fails unless the conversation about one request is one that the contract promises. */
export async function checkRequest(request: Request, talk: Conversation): Promise<void> {
  checkEnding(talk, isLongPoll(request));
  const { answers, interims } = talk;
  const expects = request.headers.some(
    ([name, value]) => name.toLowerCase() === 'expect' && /100-continue/i.test(value),
  );
  assert.ok(interims.length === 0 || (expects && interims.join() === '100'), `interim answers: ${interims.join()}`);
  if (answers.length === 0 && (talk.ending === 'left' || request.method === 'CONNECT')) return;
  assert.equal(answers.length, 1, 'one request has one answer');
  const [answer] = answers as [WireAnswer];
  checkFault(answer);
  await checkDocumented(request.method, request.target, answer);
  if (!request.promised) return;
  const isPromised = request.promised.some((one) => one === answer.status || one === codeOf(answer));
  const isBareError = request.method === 'HEAD' && answer.status >= 400 && answer.status < 500;
  assert.ok(isPromised || isBareError, `a valid request is answered with ${answer.status} ${answer.body}`);
}

/** The same for bytes of which nobody knows what they are. */
export async function checkRaw({ packets, pipeline }: RawInput, talk: Conversation): Promise<void> {
  checkEnding(talk, false);
  const { answers } = talk;
  for (const answer of answers) {
    checkFault(answer);
    checkHeaders(answer);
    if (answer.status >= 400 && answer.body.length > 0) checkErrorBody(answer);
  }
  const closing = answers.findIndex(({ headers }) => headers.get('connection') === 'close');
  assert.ok(closing < 0 || closing === answers.length - 1, 'something follows an answer that closes the connection');
  if (!pipeline) {
    // Each request has a head, and each head an end; what comes after the last may be refused.
    const heads =
      Buffer.concat(packets)
        .toString('latin1')
        .match(/\n(?=\r?\n)/g)?.length ?? 0;
    assert.ok(answers.length <= heads + 1, `${answers.length} answers to at most ${heads} requests`);
    return;
  }
  const ids = answers.map(({ headers }) => headers.get('x-request-id'));
  const asked = pipeline.map(({ id }) => id).slice(0, closing < 0 ? undefined : closing + 1);
  assert.deepEqual(ids, asked, 'each request has its answer, in order');
  for (const [index, answer] of answers.entries()) {
    const { draft, method } = pipeline[index]!;
    await checkDocumented(method, draft.path, answer);
  }
}

function checkEnding({ ending, fault, tookMs, answers }: Conversation, mayWait: boolean): void {
  assert.equal(fault, undefined, `what came is not HTTP: ${fault}`);
  assert.notEqual(ending, 'late', `no end of the connection in ${Math.round(tookMs)} ms`);
  const isStream = answers.some(({ endless }) => endless);
  assert.ok(ending === 'closed' || isStream || mayWait, 'no answer');
}

/** Each world has all that the gateway can use, and all of it is well: nothing explains an error from 500 on. */
export function checkFault({ status, body }: WireAnswer): void {
  assert.ok(status < 500, `${status} while all is well: ${body}`);
}

/** The path may be one that is read as another: it is enough that one reading fits. */
export async function checkDocumented(method: string, target: string, answer: WireAnswer): Promise<void> {
  checkHeaders(answer);
  const body = [204, 304].includes(answer.status) || method === 'HEAD' ? null : new Uint8Array(answer.body);
  let misfit: unknown;
  for (const path of readingsOf(target)) {
    try {
      const { status, headers } = answer;
      return await checkAnswer(CONTRACT, method, path, new Response(body, { status, headers }));
    } catch (error) {
      misfit ??= error;
    }
  }
  if (!BEFORE_ROUTING.has(answer.status)) throw misfit;
  if (body && answer.body.length > 0) checkErrorBody(answer);
}

function readingsOf(target: string): string[] {
  const path = target.split(/[?#]/, 1)[0]!.replace(/^https?:\/\/[^/]*/i, '');
  const normal = URL.canParse(target, 'http://gateway.test') ? new URL(target, 'http://gateway.test').pathname : path;
  return [...new Set([path, normal, decoded(normal)])];
}

/** Letters may be written as escapes (RFC 3986, section 6.2.2.2). */
function decoded(path: string): string {
  try {
    return decodeURI(path);
  } catch {
    return path;
  }
}

export function checkHeaders({ status, headers }: WireAnswer): void {
  assert.match(headers.get('x-request-id') ?? '', /^[A-Za-z0-9._-]{1,128}$/, `${status} without X-Request-Id`);
  assert.ok(headers.has('cache-control'), `${status} without Cache-Control`);
  assert.equal(headers.get('x-injected'), null, 'a header was injected');
}

export function checkErrorBody({ status, headers, body }: WireAnswer): void {
  assert.match(headers.get('content-type') ?? '', /^application\/(problem\+)?json\b/, `${status}: Content-Type`);
  const error = JSON.parse(body.toString()) as Record<string, unknown>;
  assert.ok(isErrorBody(error), `${status}: ${JSON.stringify(isErrorBody.errors)} ${body}`);
  assert.equal(error.status, status);
  assert.equal(error.request_id, headers.get('x-request-id'));
}

function codeOf({ status, body, headers }: WireAnswer): string | undefined {
  const isJson = headers.get('content-type')?.includes('json');
  return status >= 400 && isJson && body.length > 0 ? JSON.parse(body.toString()).code : undefined;
}

/** Whether the request asks to wait for its answer. */
export function isLongPoll({ target }: Request): boolean {
  return /[?&]wait=/.test(target);
}
