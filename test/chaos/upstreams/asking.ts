import { createHash } from 'node:crypto';
import type { Client, Reply } from './client.ts';
import type { Kind, Samples } from './samples.ts';

const STATES: readonly unknown[] = ['QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED'];

/** A file that is stored for good. */
export interface StoredFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** In hex. */
  readonly sha256: string;
}

export type Asking = ReturnType<typeof createAsking>;

/** The questions of a run; each resolves with whether the answer was good, and is among the samples. */
export function createAsking(samples: Samples) {
  async function ask(kind: Kind, sending: Promise<Reply>, wrong?: (reply: Reply) => string | undefined) {
    return samples.judge(kind, await sending, wrong);
  }

  return {
    healthz: (client: Client) => ask('healthz', client.send({ path: '/v1/healthz' }), expectWord('"status":"ok"')),
    readyz: (client: Client) => ask('readyz', client.send({ path: '/v1/readyz' }), expectWord('"status":"ready"')),
    metrics: (client: Client) => ask('metrics', client.send({ path: '/metrics' }), expectWord('foldforge_gateway_')),

    get: (client: Client, id: string, signal?: AbortSignal) =>
      ask('get', client.send({ path: `/v1/workflows/${id}`, ...(signal && { signal }) }), isWorkflow(id)),

    poll: (client: Client, id: string, seconds: number) =>
      ask('poll', client.send({ path: `/v1/workflows/${id}?wait=${seconds}` }), isWorkflow(id)),

    cancel: (client: Client, id: string) =>
      ask('delete', client.send({ method: 'DELETE', path: `/v1/workflows/${id}` }), isWorkflow(id)),

    list: (client: Client, pageSize: number) =>
      ask('list', client.send({ path: `/v1/workflows?page_size=${pageSize}` }), ({ body }) => {
        const { workflows } = JSON.parse(String(body)) as { workflows: unknown[] };
        return workflows.length >= 1 && workflows.length <= pageSize ? undefined : `has ${workflows.length} workflows`;
      }),

    /** Whole, or its first bytes only. */
    download(client: Client, file: StoredFile, firstBytes?: number): Promise<boolean> {
      const headers: Record<string, string> = {};
      if (firstBytes !== undefined) headers.Range = `bytes=0-${firstBytes - 1}`;
      return ask('download', client.send({ path: file.path, headers }), ({ body, status }) => {
        const wanted = firstBytes ?? file.sizeBytes;
        if (body.length !== wanted) return `has ${body.length} bytes instead of ${wanted}`;
        if (firstBytes !== undefined) return status === 206 ? undefined : 'is no part';
        const hash = createHash('sha256').update(body).digest('hex');
        return hash === file.sha256 ? undefined : 'is another file';
      });
    },
  };
}

function expectWord(word: string): (reply: Reply) => string | undefined {
  return ({ body }) => (body.includes(word) ? undefined : `does not say ${word}`);
}

function isWorkflow(id: string): (reply: Reply) => string | undefined {
  return ({ body }) => {
    const workflow = JSON.parse(String(body)) as { id?: string; state?: string };
    if (workflow.id !== id) return `is ${workflow.id} instead of ${id}`;
    return STATES.includes(workflow.state) ? undefined : `is in the state ${workflow.state}`;
  };
}
