import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import type { Facts, RequestContext } from '../context.ts';
import { GatewayError } from '../errors.ts';
import type { ArtifactStore } from '../upstream/artifact-store.ts';
import type { Orchestrator } from '../upstream/orchestrator.ts';
import { parseArtifactKey } from '../wire/artifact-key.ts';
import { type ArtifactRecord, artifactHeaders, findArtifact, validators } from '../wire/artifact-record.ts';
import { matchesEntityTag } from '../wire/entity-tags.ts';
import { type ByteRange, parseRange } from '../wire/ranges.ts';
import { transfer } from './transfer.ts';

interface ArtifactParts {
  readonly orchestrator: Pick<Orchestrator, 'getWorkflow'>;
  readonly store: ArtifactStore;
  /** How long the store may be silent in the middle of a file, in milliseconds. */
  readonly idleMs: number;
  readonly logFault: (error: GatewayError, request: Pick<Facts, 'requestId' | 'route'>) => void;
}

/** Handler of the tag `artifacts`. The store is asked only for keys that this caller's workflow made. */
export function createArtifactRoutes({ orchestrator, store, idleMs, logFault }: ArtifactParts) {
  async function findRecord(c: RequestContext): Promise<ArtifactRecord> {
    const key = parseArtifactKey(c.env.incoming.url ?? '');
    const workflow = await orchestrator.getWorkflow({ workflowId: c.var.input.params.id! }, c.var.call);
    const record = key === undefined ? undefined : findArtifact(workflow, store.bucket, key);
    if (!record) throw new GatewayError('NOT_FOUND', 'not found');
    store.requireConfigured();
    return record;
  }

  return {
    async downloadArtifact(c: RequestContext): Promise<Response> {
      const record = await findRecord(c);
      const { headers } = c.var.input;
      if (record.etag && matchesEntityTag(headers['if-none-match'], record.etag)) {
        return new Response(null, { status: 304, headers: validators(record.etag) });
      }
      const { incoming, outgoing } = c.env;
      // A range is for GET alone.
      if (incoming.method === 'HEAD') return new Response(null, { headers: artifactHeaders(record, undefined) });
      const range = readRange(headers, record);
      const answerHeaders = artifactHeaders(record, range);
      const status = range ? 206 : 200;
      const { key, sizeBytes: wholeBytes } = record;
      const sizeBytes = range ? range.last - range.first + 1 : wholeBytes;
      const body = await store.open({ key, range, sizeBytes, signal: c.var.call.signal });
      outgoing.writeHead(status, answerHeaders);
      const onBroken = (error: Error) => {
        const fault = new GatewayError('STORE_ERROR', `a transfer broke off: ${error.message}`, { cause: error });
        c.set('brokenBy', fault);
        logFault(fault, c.var);
      };
      await transfer({ body, outgoing, idleMs, onBroken });
      return RESPONSE_ALREADY_SENT;
    },
  };
}

/** The one range that was asked for (RFC 9110, section 14.2), unless If-Range names another version. */
function readRange(headers: Readonly<Record<string, string>>, record: ArtifactRecord): ByteRange | undefined {
  const ifRange = headers['if-range'];
  if (ifRange !== undefined && (record.etag === '' || ifRange.trim() !== record.etag)) return undefined;
  const range = parseRange(headers.range, record.sizeBytes);
  if (range !== 'unsatisfiable') return range;
  throw new GatewayError('RANGE_NOT_SATISFIABLE', 'the range lies outside the file', {
    headers: { 'Content-Range': `bytes */${record.sizeBytes}` },
  });
}
