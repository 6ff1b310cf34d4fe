import { randomUUID } from 'node:crypto';
import { type CallerOptions, createCaller } from './call.ts';
import type { Artifact, Ranking, RankRequest, State, Workflow, WorkflowList } from './contract.ts';
import { type Downloaded, downloadTo } from './download.ts';
import { type WatchedEvent, type WatchOptions, watchEvents } from './watch.ts';

/** The most that the API answers with at once. */
const PAGE_SIZE = 100;

export interface ListOptions {
  readonly state?: State | undefined;
  /** `key=value`; all must match. */
  readonly labels?: readonly string[];
  /** How many at the most; 0 means all. */
  readonly limit: number;
}

export type ApiClient = ReturnType<typeof createApiClient>;

/**
 * A client of the public HTTP API. Faults that pass are waited out where a repetition is safe; after that a method throws
 * an ApiError when the server refuses, and a ConnectionError when it cannot be reached.
 */
export function createApiClient(options: CallerOptions) {
  const caller = createCaller(options);
  const { call, readJson } = caller;
  const json = { 'Content-Type': 'application/json' };
  const pathOf = (id: string) => `/v1/workflows/${encodeURIComponent(id)}`;

  return {
    /** Submits once, however often it has to be sent: the server knows a repetition by the key. */
    submitWorkflow(spec: unknown, idempotencyKey: string = randomUUID()): Promise<Workflow> {
      const headers = { ...json, 'Idempotency-Key': idempotencyKey };
      return call({ method: 'POST', path: '/v1/workflows', headers, body: JSON.stringify(spec) }, readJson<Workflow>);
    },

    getWorkflow(id: string): Promise<Workflow> {
      return call({ path: pathOf(id) }, readJson<Workflow>);
    },

    /** As many pages as it takes. `isCut`: there are more than `limit`. */
    async listWorkflows({
      state,
      labels = [],
      limit,
    }: ListOptions): Promise<{ workflows: Workflow[]; isCut: boolean }> {
      const workflows: Workflow[] = [];
      let pageToken: string | undefined;
      do {
        const left = limit === 0 ? PAGE_SIZE : limit - workflows.length;
        const query = new URLSearchParams({ page_size: String(Math.min(left, PAGE_SIZE)) });
        if (state) query.set('state', state);
        for (const label of labels) query.append('label', label);
        if (pageToken) query.set('page_token', pageToken);
        const page = await call({ path: `/v1/workflows?${query}` }, readJson<WorkflowList>);
        workflows.push(...page.workflows);
        // proto3 cannot tell empty from absent: other gateways may write an empty one on the last page.
        pageToken = page.next_page_token || undefined;
      } while (pageToken !== undefined && (limit === 0 || workflows.length < limit));
      return { workflows, isCut: pageToken !== undefined };
    },

    cancelWorkflow(id: string): Promise<Workflow> {
      return call({ method: 'DELETE', path: pathOf(id) }, readJson<Workflow>);
    },

    /** A second retry is not the first one again, so it is only repeated when the first did nothing. */
    retryWorkflow(id: string): Promise<Workflow> {
      return call({ method: 'POST', path: `${pathOf(id)}/retry`, repeat: 'refused' }, readJson<Workflow>);
    },

    rankDesigns(id: string, request: RankRequest): Promise<Ranking> {
      const body = JSON.stringify(request);
      return call({ method: 'POST', path: `${pathOf(id)}/rank`, headers: json, body }, readJson<Ranking>);
    },

    /** Each event once, in order, to the end of the workflow; a lost stream is resumed. */
    watchWorkflow(id: string, watchOptions: WatchOptions = {}): AsyncGenerator<WatchedEvent, void> {
      return watchEvents(caller, id, watchOptions);
    },

    /** Leaves an artifact in `file`, whole and with the recorded SHA-256, or throws. Goes on where it was broken off. */
    downloadArtifact(workflowId: string, artifact: Artifact, file: string): Promise<Downloaded> {
      return downloadTo(caller, { path: `${pathOf(workflowId)}/artifacts/${pathOfKey(artifact.uri)}`, artifact, file });
    },
  };
}

/** The key behind the bucket, escaped for a URL. Throws for one with which the URL would be that of something else. */
export function pathOfKey(uri: string): string {
  const segments = /^r2:\/\/[^/]+\/(.+)$/.exec(uri)?.[1]?.split('/');
  if (!segments || segments.some((segment) => ['', '.', '..'].includes(segment))) {
    throw new Error(`${uri} is not the URI of an artifact`);
  }
  return segments.map(encodeURIComponent).join('/');
}
