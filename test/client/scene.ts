import { randomUUID } from 'node:crypto';
import { runCli } from '../../src/client/cli.ts';
import type { Artifact, State, StepStatus, Workflow } from '../../src/client/contract.ts';

export const URL_OF_API = 'http://gateway.test/base';
const MOST_WAITS = 200;
export const KEY = 'ffk_secret-of-the-test';

export interface Sent {
  readonly method: string;
  readonly url: string;
  /** What follows the URL of the API. */
  readonly path: string;
  readonly headers: Headers;
  readonly body: string | undefined;
  readonly redirect: RequestInit['redirect'];
}

/** What a server does with a request: answers, or throws as fetch does. */
export type Answer = (sent: Sent) => Response | Promise<Response>;

interface Given {
  readonly answer?: Answer;
  readonly environment?: Record<string, string | undefined>;
  readonly stdin?: string;
  readonly signal?: AbortSignal;
  readonly stdout?: { readonly isTTY: boolean; readonly columns: number; readonly rows: number };
}

/** One run of the command line client against a server in memory. Time passes only while it waits. */
export async function runIn(args: readonly string[], given: Given = {}) {
  const sent: Sent[] = [];
  const waits: number[] = [];
  let now = 0;
  let stdout = '';
  let stderr = '';
  const exitCode = await runCli({
    args,
    environment: { FOLDFORGE_URL: URL_OF_API, FOLDFORGE_API_KEY: KEY, ...given.environment },
    version: '1.2.3',
    stdout: { write: (text) => (stdout += text), ...given.stdout },
    stderr: { write: (text) => (stderr += text) },
    readStdin: async () => given.stdin ?? '',
    signal: given.signal ?? new AbortController().signal,
    clock: {
      now: () => now,
      async sleep(delayMs, signal) {
        signal.throwIfAborted();
        if (waits.length === MOST_WAITS) throw new Error('it would go on for ever');
        waits.push(delayMs);
        now += delayMs;
      },
    },
    async fetch(input, init) {
      const url = String(input);
      const { method = 'GET', headers, body, redirect } = init ?? {};
      const path = url.startsWith(URL_OF_API) ? url.slice(URL_OF_API.length) : '';
      const request = { method, url, path, headers: new Headers(headers), body: body as string | undefined, redirect };
      sent.push(request);
      init?.signal?.throwIfAborted();
      if (!given.answer) throw new Error('the test expected no request');
      return given.answer(request);
    },
  });
  return { exitCode, stdout, stderr, sent, waits };
}

/** Gives one answer after the other; a request too many fails the test. */
export function inTurn(...answers: readonly Answer[]): Answer {
  const left = [...answers];
  return (sent) => {
    const next = left.shift();
    if (!next) throw new Error(`one request too many: ${sent.method} ${sent.url}`);
    return next(sent);
  };
}

export function json(body: unknown, status = 200, headers: Record<string, string> = {}): Answer {
  return () => Response.json(body, { status, headers });
}

/** An error as the API answers it. */
export function refusal(status: number, code: string, { retryable = false, retryAfter = '' } = {}): Answer {
  const body = { status, code, message: `the sentence of ${code}`, retryable, request_id: 'req-1' };
  return json(body, status, retryAfter ? { 'Retry-After': retryAfter } : {});
}

/** What a proxy says of a server that it cannot reach. */
export function html(status: number, headers: Record<string, string> = {}): Answer {
  return () => new Response('<html>nginx</html>', { status, headers: { 'Content-Type': 'text/html', ...headers } });
}

/** As fetch fails. */
export function lost(code: string): Answer {
  return () => {
    throw networkFault('fetch failed', code);
  };
}

function networkFault(message: string, code: string): TypeError {
  return new TypeError(message, { cause: Object.assign(new Error(`read ${code}`), { code }) });
}

/** A body in pieces, that may break off at its end. */
export function pieces(
  parts: readonly (string | Uint8Array)[],
  { breaksOff = false } = {},
): ReadableStream<Uint8Array> {
  const left = parts.map((part) => (typeof part === 'string' ? new TextEncoder().encode(part) : part));
  return new ReadableStream({
    pull(controller) {
      const next = left.shift();
      if (next) controller.enqueue(next);
      else if (breaksOff) controller.error(networkFault('terminated', 'UND_ERR_SOCKET'));
      else controller.close();
    },
  });
}

export function eventStream(text: string, { breaksOff = false } = {}): Answer {
  return () =>
    new Response(pieces([text], { breaksOff }), { headers: { 'Content-Type': 'text/event-stream; charset=utf-8' } });
}

export function workflow(state: State, fields: Partial<Workflow> = {}): Workflow {
  return {
    id: 'wf-1',
    name: 'binder',
    state,
    steps: [{ id: 'fold', tool: 'af2', depends_on: [], params: {} }],
    step_statuses: [status('QUEUED', 0)],
    labels: {},
    created_at: '2026-01-15T09:30:00.250Z',
    ...fields,
  };
}

export function status(state: State, fraction: number, fields: Partial<StepStatus> = {}): StepStatus {
  return { step_id: 'fold', state, fraction, outputs: [], sequences: [], ...fields };
}

export function artifact(fields: Partial<Artifact> = {}): Artifact {
  return {
    uri: `r2://bucket/artifacts/${randomUUID()}.pdb`,
    content_type: 'chemical/x-pdb',
    size_bytes: 0,
    sha256: '',
    metrics: {},
    ...fields,
  };
}
