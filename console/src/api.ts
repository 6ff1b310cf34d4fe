import type { components } from '../../src/gen/openapi.ts';
import { type ApiFault, networkFault, readFault } from './api-fault.ts';
import { type Quota, readQuota } from './quota.ts';

export { ApiFault, type FieldFault, faultOf } from './api-fault.ts';

type Schemas = components['schemas'];
export type Workflow = Schemas['Workflow'];
export type WorkflowSpec = Schemas['WorkflowSpec'];
export type WorkflowList = Schemas['WorkflowList'];
export type WorkflowEvent = Schemas['WorkflowEvent'];
export type Step = Schemas['Step'];
export type StepStatus = Schemas['StepStatus'];
export type Artifact = Schemas['Artifact'];
export type DesignedSequence = Schemas['DesignedSequence'];
export type State = Schemas['State'];
export type RankRequest = Schemas['RankRequest'];
export type Ranking = Schemas['Ranking'];
export type ErrorBody = Schemas['Error'];

export interface ListQuery {
  readonly pageSize?: number;
  readonly pageToken?: string | undefined;
  readonly state?: string | undefined;
  /** Each `key=value`; all must match. */
  readonly labels?: readonly string[];
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface ApiOptions {
  readonly token: string;
  readonly fetch?: typeof fetch;
  /** Called when the gateway no longer takes the credential (401), before the call throws. */
  readonly onRefused?: (fault: ApiFault) => void;
  /** Called with what each answer says about the quota of the key. */
  readonly onQuota?: (quota: Quota) => void;
}

export type Api = ReturnType<typeof createApi>;

/** Far longer than the gateway takes for any answer. A network that is lost without a word answers never. */
const ANSWER_MS = 60_000;

/**
 * The public API of the gateway that this page came from. Every call throws an ApiFault when the gateway refuses or
 * does not answer, and the signal's reason when it was aborted. The credential travels in a header alone.
 */
export function createApi({ token, fetch = globalThis.fetch, onRefused, onQuota }: ApiOptions) {
  async function call(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set('Authorization', `Bearer ${token}`);
    let response: Response;
    try {
      // Nothing of it stays on the disk of a shared computer.
      response = await fetch(path, { ...init, headers, cache: 'no-store' });
    } catch {
      init.signal?.throwIfAborted();
      throw networkFault();
    }
    const quota = readQuota(response.headers);
    if (quota) onQuota?.(quota);
    if (response.ok || response.status === 304) return response;
    const fault = await readFault(response);
    if (fault.status === 401) onRefused?.(fault);
    throw fault;
  }

  async function callJson<T>(path: string, init: RequestInit = {}): Promise<T> {
    return withDeadline(init.signal, async (signal) => readJson<T>(await call(path, { ...init, signal }), signal));
  }

  const workflowPath = (id: string) => `/v1/workflows/${encodeURIComponent(id)}`;

  return {
    /** One page, newest first, with its ETag; undefined: it is still what `etag` names. */
    async listWorkflows(
      query: ListQuery = {},
      { etag, signal }: CallOptions & { readonly etag?: string | undefined } = {},
    ): Promise<{ readonly list: WorkflowList; readonly etag: string | undefined } | undefined> {
      const headers: Record<string, string> = etag === undefined ? {} : { 'If-None-Match': etag };
      return withDeadline(signal, async (limited) => {
        const response = await call(`/v1/workflows${listSearch(query)}`, { headers, signal: limited });
        if (response.status === 304) return undefined;
        return {
          list: await readJson<WorkflowList>(response, limited),
          etag: response.headers.get('ETag') ?? undefined,
        };
      });
    },

    getWorkflow: (id: string, { signal }: CallOptions = {}): Promise<Workflow> =>
      callJson(workflowPath(id), { signal: signal ?? null }),

    /** `body` is the JSON text as it was written. The same key and body again give the first answer again. */
    submitWorkflow: (body: string, idempotencyKey: string, { signal }: CallOptions = {}): Promise<Workflow> =>
      callJson('/v1/workflows', {
        method: 'POST',
        body,
        headers: { 'Content-Type': 'application/json', 'Idempotency-Key': idempotencyKey },
        signal: signal ?? null,
      }),

    cancelWorkflow: (id: string, { signal }: CallOptions = {}): Promise<Workflow> =>
      callJson(workflowPath(id), { method: 'DELETE', signal: signal ?? null }),

    retryWorkflow: (id: string, { signal }: CallOptions = {}): Promise<Workflow> =>
      callJson(`${workflowPath(id)}/retry`, { method: 'POST', signal: signal ?? null }),

    rankDesigns: (id: string, request: RankRequest, { signal }: CallOptions = {}): Promise<Ranking> =>
      callJson(`${workflowPath(id)}/rank`, {
        method: 'POST',
        body: JSON.stringify(request),
        headers: { 'Content-Type': 'application/json' },
        signal: signal ?? null,
      }),

    /** The event stream, after the event `lastEventId` if there is one: 200 with a body, or 204 when nothing is to come. */
    openEvents: (
      id: string,
      { lastEventId, signal }: CallOptions & { readonly lastEventId?: string | undefined } = {},
    ): Promise<Response> =>
      call(`${workflowPath(id)}/events?heartbeat=event`, {
        headers: { Accept: 'text/event-stream', ...(lastEventId !== undefined && { 'Last-Event-ID': lastEventId }) },
        signal: signal ?? null,
      }),

    /** The file with this key, which is what follows `r2://<bucket>/` in an artifact's uri. */
    openArtifact: (id: string, key: string, { signal }: CallOptions = {}): Promise<Response> =>
      call(`${workflowPath(id)}/artifacts/${key.split('/').map(encodeURIComponent).join('/')}`, {
        signal: signal ?? null,
      }),
  };
}

/** Throws the reason of `signal` when that ends the call, and a network fault when no whole answer comes in time. */
async function withDeadline<T>(
  signal: AbortSignal | null | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(networkFault()), ANSWER_MS);
  try {
    return await work(signal ? AbortSignal.any([signal, deadline.signal]) : deadline.signal);
  } finally {
    clearTimeout(timer);
  }
}

/** A connection that is lost in the middle of an answer is the network's fault too. */
async function readJson<T>(response: Response, signal: AbortSignal | null | undefined): Promise<T> {
  try {
    return (await response.json()) as T;
  } catch {
    signal?.throwIfAborted();
    throw networkFault();
  }
}

function listSearch({ pageSize, pageToken, state, labels = [] }: ListQuery): string {
  const search = new URLSearchParams();
  if (pageSize !== undefined) search.set('page_size', String(pageSize));
  if (pageToken !== undefined) search.set('page_token', pageToken);
  if (state !== undefined) search.set('state', state);
  for (const label of labels) search.append('label', label);
  return search.size === 0 ? '' : `?${search}`;
}
