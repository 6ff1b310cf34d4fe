import { hash, randomBytes } from 'node:crypto';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { answerMessages } from '../../../bench/support/answer-messages.ts';
import { startObjectStore } from '../../../src/embedded/object-store.ts';
import { JobState } from '../../../src/gen/foldforge/common/v1/common_pb.ts';
import { mintToken } from '../../../src/shared/checksummed-token.ts';
import { createLog } from '../../../src/shared/log.ts';
import { BUCKET, pathOf, recordFiles } from '../../support/artifact-records.ts';
import { startFakeOrchestrator } from '../../support/fake-orchestrator.ts';
import type { Furniture } from './furniture.ts';

// What is behind the gateway, in a process of its own: an orchestrator in memory, and a real object store on disk.

export interface BackendMessage {
  readonly furnish: {
    /** An empty folder for the store. */
    readonly folder: string;
    readonly newcomers: number;
    readonly largeFileBytes: number;
  };
}

export interface BackendAnswer {
  readonly orchestratorUrl: string;
  readonly store: {
    readonly url: string;
    readonly bucket: string;
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
  };
  readonly furniture: Furniture;
}

const HONEST_FILE_BYTES = 256 * 1024;
const LISTED = 100;
const LISTED_BYTES = 10_000;
const LARGE_BYTES = 2 * 1024 * 1024;
const FINISHED_EVENTS = 30;
const STORED_EVENTS = 8_000;
const LIVE_EVENT_MS = 200;
/** The fake notes every call, which no run looks at. */
const FORGET_CALLS_MS = 500;

const ACCESS = { accessKeyId: 'test-key', secretAccessKey: 'test-secret' };

const orchestrator = await startFakeOrchestrator({ accounts: true, health: true, replay: true });
setInterval(() => orchestrator.calls.splice(0), FORGET_CALLS_MS);

answerMessages<BackendMessage>(async ({ furnish }): Promise<BackendAnswer> => {
  const store = await startObjectStore({
    dataDir: furnish.folder,
    address: { host: '127.0.0.1', port: 0 },
    buckets: [BUCKET],
    log: createLog('store', 'warn'),
    ...ACCESS,
  });
  const furniture = await createFurniture(store.url, furnish);
  return { orchestratorUrl: orchestrator.endpoint, store: { url: store.url, bucket: BUCKET, ...ACCESS }, furniture };
});

async function createFurniture(
  storeUrl: string,
  { newcomers, largeFileBytes }: BackendMessage['furnish'],
): Promise<Furniture> {
  const credentials = ACCESS;
  const client = new S3Client({ endpoint: storeUrl, credentials, region: 'auto', forcePathStyle: true });
  const small = await storeFile(client, 'small.pdb', HONEST_FILE_BYTES);
  const large = await storeFile(client, 'large.pdb', largeFileBytes);
  client.destroy();
  const finishedId = put('honest', JobState.RUNNING);
  for (let event = 1; event < FINISHED_EVENTS; event++) addEvent(finishedId, 100);
  orchestrator.workflowUpdate(finishedId, JobState.SUCCEEDED);
  for (let index = 0; index < LISTED; index++) {
    put('honest', JobState.RUNNING);
    put('attacker', JobState.RUNNING, LISTED_BYTES);
  }
  const liveId = put('honest', JobState.RUNNING);
  const eventfulId = put('attacker', JobState.RUNNING);
  for (let event = 0; event < STORED_EVENTS; event++) addEvent(eventfulId, 500);
  setInterval(() => {
    addEvent(liveId, 100);
    addEvent(eventfulId, 500);
  }, LIVE_EVENT_MS);
  const honestFiles = recordFiles(orchestrator, [small], 'honest');
  const attackerFiles = recordFiles(orchestrator, [large], 'attacker');
  return {
    honestKey: addKey('honest'),
    newcomerKeys: Array.from({ length: newcomers }, (_, index) => addKey(`newcomer-${index}`)),
    attackerKey: addKey('attacker'),
    honest: {
      finished: { id: finishedId, events: FINISHED_EVENTS },
      file: { path: pathOf(honestFiles, small.key), sha256: small.sha256 },
      liveId,
    },
    attacker: {
      smallId: put('attacker', JobState.RUNNING),
      largeId: put('attacker', JobState.RUNNING, LARGE_BYTES),
      eventfulId,
      filePath: pathOf(attackerFiles, large.key),
    },
  };
}

function addKey(principal: string): string {
  const key = mintToken('ffk');
  orchestrator.keys.set(hash('sha256', key), { principal, limit: 0n, used: 0n });
  return key;
}

function put(owner: string, state: JobState, sequenceBytes = 0): string {
  const sequences = sequenceBytes > 0 ? [{ fasta: 'A'.repeat(sequenceBytes) }] : [];
  const stepStatuses = [{ stepId: 'fold', state, sequences }];
  return orchestrator.put({ spec: { name: 'chaos' }, state, stepStatuses }, owner).id;
}

function addEvent(workflowId: string, bytes: number): void {
  orchestrator.stepUpdate(workflowId, { stepId: 'fold', sequences: [{ fasta: 'A'.repeat(bytes) }] });
}

async function storeFile(client: S3Client, key: string, sizeBytes: number) {
  const bytes = randomBytes(sizeBytes);
  await client.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: bytes, ContentType: 'chemical/x-pdb' }));
  return { key, sizeBytes, sha256: hash('sha256', bytes) };
}
