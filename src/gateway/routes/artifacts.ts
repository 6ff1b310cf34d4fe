import type { ArtifactRecords } from '../access/artifact-records.ts';
import type { Answer, Facts, RequestContext } from '../context.ts';
import { GatewayError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import type { ArtifactStore } from '../upstream/artifact-store.ts';
import type { TransferSlots } from '../upstream/transfer-slots.ts';
import { contentDisposition, parseArtifactKey } from '../wire/artifact-key.ts';
import { type ArtifactRecord, artifactHeaders, validators } from '../wire/artifact-record.ts';
import { isNotModified, isSameVersion } from '../wire/conditions.ts';
import { type ByteRange, parseRange } from '../wire/ranges.ts';
import { transfer } from './transfer.ts';

interface ArtifactParts {
  readonly records: ArtifactRecords;
  readonly store: ArtifactStore;
  readonly slots: TransferSlots;
  readonly metrics: Pick<Metrics, 'storeFailures' | 'storeBytes'>;
  /** `redirect`: the client gets the bytes from the store itself. */
  readonly delivery: 'proxy' | 'redirect';
  /** How long the store may be silent in the middle of a file, in milliseconds. */
  readonly idleMs: number;
  readonly logFault: (error: GatewayError, request: Pick<Facts, 'requestId' | 'route' | 'call'>) => void;
}

/** Handler of the tag `artifacts`. The store is asked only for keys that this caller's workflow made. */
export function createArtifactRoutes(parts: ArtifactParts) {
  const { records, store, slots, metrics, delivery, idleMs, logFault } = parts;

  async function findRecord(c: RequestContext): Promise<ArtifactRecord> {
    const { input, caller, call } = c.env.facts;
    const key = parseArtifactKey(c.env.incoming.url ?? '');
    const record = await records.find(input.params.id!, key, caller, call);
    if (!record) throw new GatewayError('NOT_FOUND', 'not found');
    store.requireConfigured();
    return record;
  }

  async function redirect({ key, contentType }: ArtifactRecord): Promise<Answer> {
    const link = await store.linkTo({ key, contentType, contentDisposition: contentDisposition(key) });
    return { status: 302, headers: { Location: link } };
  }

  async function pass(c: RequestContext, record: ArtifactRecord, range: ByteRange | undefined): Promise<undefined> {
    const { outgoing } = c.env;
    const { key, sizeBytes } = record;
    // What the store takes is no work of the gateway's: it has a cap of its own.
    c.env.facts.endWork?.('waits');
    c.env.facts.leave?.();
    const body = await store.open({ key, range, sizeBytes, call: c.env.facts.call });
    outgoing.writeHead(range ? 206 : 200, { ...c.env.facts.headers, ...artifactHeaders(record, range) });
    const onBroken = (error: Error) => {
      metrics.storeFailures.inc({ reason: 'broken' });
      const fault = new GatewayError('STORE_ERROR', `a transfer broke off: ${error.message}`, { cause: error });
      c.env.facts.brokenBy = fault;
      logFault(fault, c.env.facts);
    };
    const onBytes = (count: number) => metrics.storeBytes.inc(count);
    await transfer({ body, outgoing, idleMs, onBroken, onBytes });
    return undefined;
  }

  return {
    async downloadArtifact(c: RequestContext): Promise<Answer | undefined> {
      const record = await findRecord(c);
      const { headers } = c.env.facts.input;
      if (isNotModified(headers, record)) return { status: 304, headers: validators(record) };
      // A range is for GET alone.
      if (c.env.incoming.method === 'HEAD') return { status: 200, headers: artifactHeaders(record, undefined) };
      const range = isSameVersion(headers, record) ? parseRange(headers.range, record.sizeBytes) : undefined;
      if (range === 'unsatisfiable') {
        throw new GatewayError('RANGE_NOT_SATISFIABLE', 'the range lies outside the file', {
          headers: { 'Content-Range': `bytes */${record.sizeBytes}` },
        });
      }
      // The store knows nothing of our ETag, so it could not tell whether a range is still to be kept.
      const isRedirected = delivery === 'redirect' && headers['if-range'] === undefined;
      return isRedirected ? redirect(record) : slots.hold(c.env.facts.caller.principal, () => pass(c, record, range));
    },
  };
}
