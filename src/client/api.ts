import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { EventSourceParserStream } from 'eventsource-parser/stream';

/** The parts of the API's objects that a client shows (openapi.yaml). */
export interface WorkflowJson {
  readonly id: string;
  readonly state: string;
  readonly steps: readonly { readonly id: string; readonly tool: string }[];
  readonly step_statuses: readonly StepStatusJson[];
}

export interface StepStatusJson {
  readonly step_id: string;
  readonly state: string;
  readonly fraction: number;
  readonly outputs: readonly ArtifactJson[];
  readonly error?: { readonly code: string; readonly message: string };
}

export interface ArtifactJson {
  readonly uri: string;
  readonly sha256: string;
  readonly size_bytes: number;
}

export interface WorkflowEventJson {
  readonly step_update?: StepStatusJson;
  readonly workflow_update?: WorkflowJson;
}

interface ErrorJson {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
}

/** What the server answered instead of what was asked for. */
export class ApiError extends Error {
  readonly retryable: boolean;

  constructor(what: string, { status, code, message, retryable }: ErrorJson) {
    super(`${what}: ${status} ${code}: ${message}`);
    this.name = 'ApiError';
    this.retryable = retryable;
  }
}

/** A client of the public HTTP API. Every method throws an ApiError when the server refuses. */
export function createApiClient({ url, token }: { url: string; token: string }) {
  async function call(path: string, init: RequestInit = {}): Promise<Response> {
    const response = await fetch(url + path, {
      ...init,
      headers: { Authorization: `Bearer ${token}`, ...init.headers },
    });
    if (response.ok) return response;
    throw new ApiError(`${init.method ?? 'GET'} ${path}`, (await response.json()) as ErrorJson);
  }

  return {
    async submitWorkflow(spec: unknown): Promise<WorkflowJson> {
      const headers = { 'Content-Type': 'application/json' };
      const response = await call('/v1/workflows', { method: 'POST', headers, body: JSON.stringify(spec) });
      return (await response.json()) as WorkflowJson;
    },

    async getWorkflow(id: string): Promise<WorkflowJson> {
      return (await (await call(`/v1/workflows/${id}`)).json()) as WorkflowJson;
    },

    /** Every event from the first one, to the end of the workflow; a lost stream is resumed. Returns the final state. */
    async *watchWorkflow(id: string): AsyncGenerator<WorkflowEventJson, string> {
      const stream = { cursor: '0', retryMs: 1_000 };
      for (;;) {
        try {
          const headers = { 'Last-Event-ID': stream.cursor };
          const response = await call(`/v1/workflows/${id}/events`, { headers });
          if (response.status === 204) return (await this.getWorkflow(id)).state;
          const state = yield* readEvents(response, stream);
          if (state !== undefined) return state;
        } catch (error) {
          if (error instanceof ApiError && !error.retryable) throw error;
        }
        await sleep(stream.retryMs);
      }
    },

    /** Downloads an artifact, and throws unless its SHA-256 is the recorded one. */
    async downloadArtifact(workflowId: string, artifact: ArtifactJson, file: string): Promise<void> {
      const key = artifact.uri.replace(/^r2:\/\/[^/]+\//, '');
      const path = key.split('/').map(encodeURIComponent).join('/');
      const response = await call(`/v1/workflows/${workflowId}/artifacts/${path}`);
      const sha256 = createHash('sha256');
      const tap = new Transform({
        transform(chunk, _encoding, done) {
          sha256.update(chunk);
          done(null, chunk);
        },
      });
      await pipeline(response.body!, tap, createWriteStream(file));
      const digest = sha256.digest('hex');
      if (digest !== artifact.sha256) throw new Error(`${file} has the SHA-256 ${digest}, not ${artifact.sha256}`);
    },
  };
}

/** Reads one stream, keeping its cursor and the server's `retry`. Returns the final state; undefined: it broke off. */
async function* readEvents(
  response: Response,
  stream: { cursor: string; retryMs: number },
): AsyncGenerator<WorkflowEventJson, string | undefined> {
  const parser = new EventSourceParserStream({
    onRetry(retryMs) {
      stream.retryMs = retryMs;
    },
  });
  for await (const { id, event, data } of response.body!.pipeThrough(new TextDecoderStream()).pipeThrough(parser)) {
    if (event === 'end') return (JSON.parse(data) as { state: string }).state;
    if (event === 'error') throw new ApiError('the event stream', JSON.parse(data) as ErrorJson);
    if (id !== undefined) stream.cursor = id;
    if (event === 'step_update' || event === 'workflow_update') yield JSON.parse(data) as WorkflowEventJson;
  }
  return undefined;
}
