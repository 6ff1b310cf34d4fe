import { LRUCache } from 'lru-cache';
import type { Call, Caller } from '../context.ts';
import type { Metrics } from '../metrics.ts';
import type { Orchestrator } from '../upstream/orchestrator.ts';
import { type ArtifactRecord, findArtifact } from '../wire/artifact-record.ts';

const MAX_ENTRIES = 10_000;

export interface ArtifactRecordParts {
  readonly orchestrator: Pick<Orchestrator, 'getWorkflow'>;
  readonly metrics: Pick<Metrics, 'artifactRecordLookups'>;
  /** The one bucket that files are served from. */
  readonly bucket: string;
  /** How long a record is remembered: no longer than a key is. */
  readonly ttlMs: number;
}

export type ArtifactRecords = ReturnType<typeof createArtifactRecords>;

/**
 * Says whether a file is an output of a workflow that the caller may see, and what is recorded of it. A record with a SHA-256
 * never changes, so it is remembered for its principal: whoever asks for the next range of a large file costs no call.
 */
export function createArtifactRecords({ orchestrator, metrics, bucket, ttlMs }: ArtifactRecordParts) {
  const remembered = new LRUCache<string, ArtifactRecord>({ max: MAX_ENTRIES, ttl: ttlMs, ttlResolution: 0 });

  return {
    /**
     * Undefined: the workflow made no such file, which is so for every key that is undefined. Throws NOT_FOUND for a
     * workflow that is missing or somebody else's.
     */
    async find(
      workflowId: string,
      key: string | undefined,
      { principal }: Caller,
      call: Call,
    ): Promise<ArtifactRecord | undefined> {
      const place = JSON.stringify([principal ?? null, workflowId, key]);
      const known = remembered.get(place);
      metrics.artifactRecordLookups.inc({ result: known ? 'hit' : 'miss' });
      if (known) return known;
      const workflow = await orchestrator.getWorkflow({ workflowId }, call);
      const record = key === undefined ? undefined : findArtifact(workflow, bucket, key);
      if (record && record.etag !== '') remembered.set(place, record);
      return record;
    },
  };
}
