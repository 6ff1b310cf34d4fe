import { isDeepStrictEqual } from 'node:util';
import type { BackendAnswer, BackendMessage, NotedCall } from '../support/backend.ts';
import type { Case } from './cases.ts';

/** Every call is made for somebody, has a name in all logs, and a deadline. */
const CALL_FIELDS = ['ff-principal', 'x-request-id', 'grpc-timeout'];
const QUOTA_HEADERS = [
  'ratelimit',
  'ratelimit-policy',
  'x-ratelimit-limit',
  'x-ratelimit-remaining',
  'x-ratelimit-reset',
];
const BOUND_MS = 10_000;

/** What one program makes of one case: what it answers, and what it asks of the orchestrator. */
export interface Work {
  readonly body: string;
  readonly calls: readonly Pick<NotedCall, 'path' | 'request'>[];
}

/** Has a program do a case twice: the first time it looks the key up. Throws unless it answers as the contract has it. */
export async function observeWork(
  name: string,
  port: number,
  token: string,
  { label, method, paths, body, status, isLimited }: Case,
  askBackend: (message: BackendMessage) => Promise<BackendAnswer>,
): Promise<Work> {
  const send = async () => {
    const headers = {
      authorization: `Bearer ${token}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
    };
    const init = { method, headers, signal: AbortSignal.timeout(BOUND_MS), ...(body !== undefined && { body }) };
    const response = await fetch(`http://127.0.0.1:${port}${paths[0]}`, init);
    return { response, text: await response.text() };
  };
  await send();
  await askBackend({ note: true });
  const { response, text } = await send();
  const { notedCalls } = await askBackend({ note: false });

  const fail = (fault: string) => new Error(`${name}, ${label}: ${fault}`);
  if (response.status !== status) throw fail(`${status} was expected, not ${response.status}: ${text}`);
  const missing = ['x-request-id', ...(isLimited ? QUOTA_HEADERS : [])].find((header) => !response.headers.has(header));
  if (missing !== undefined) throw fail(`the answer has no header ${missing}`);
  for (const { path, fields } of notedCalls) {
    const lacking = CALL_FIELDS.find((field) => !(field in fields));
    if (lacking !== undefined) throw fail(`the call of ${path} has no ${lacking}`);
  }
  return { body: text, calls: notedCalls.map(({ path, request }) => ({ path, request })) };
}

/** Throws unless a peer did just what the gateway did; the members of JSON may be in another order. */
export function assertSameWork(peer: string, { label }: Case, theirs: Work, ours: Work): void {
  const fail = (what: string, their: unknown, our: unknown) =>
    new Error(
      `${peer}, ${label}: ${what} differs from the gateway's: ${JSON.stringify(their)} instead of ${JSON.stringify(our)}`,
    );
  if (!isDeepStrictEqual(theirs.calls, ours.calls))
    throw fail('what it asks of the orchestrator', theirs.calls, ours.calls);
  const [their, our] = [theirs, ours].map(({ body }) => JSON.parse(body));
  if (!isDeepStrictEqual(their, our)) throw fail('what it answers', their, our);
}
