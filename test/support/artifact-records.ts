import { createHash } from 'node:crypto';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { StoreGuards } from '../../src/gateway/upstream/artifact-store.ts';
import { createRetryBudget } from '../../src/gateway/upstream/retry-budget.ts';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import type { FakeOrchestrator } from './fake-orchestrator.ts';
import type { TestGateway } from './gateway.ts';

export interface RecordedFile {
  readonly key: string;
  readonly sizeBytes: number | bigint;
  /** None unless it is given. */
  readonly sha256?: string;
  readonly contentType?: string;
  /** Another one than the gateway's for a test of that. */
  readonly bucket?: string;
}

export const BUCKET = 'test-bucket';
/** When every step of these workflows had finished. */
export const FINISHED_AT = 'Sun, 06 Nov 1994 08:49:37 GMT';

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Records files as the outputs of a new workflow, of `owner` or of nobody. Answers with its id. */
export function recordFiles(fake: FakeOrchestrator, files: readonly RecordedFile[], owner = ''): string {
  const outputs = files.map(({ key, sizeBytes, contentType = 'chemical/x-pdb', bucket = BUCKET, sha256 = '' }) => ({
    uri: `r2://${bucket}/${key}`,
    contentType,
    sizeBytes: BigInt(sizeBytes),
    sha256,
  }));
  const finishedAt = timestampFromDate(new Date(FINISHED_AT));
  const init = { spec: { name: 'x' }, state: JobState.SUCCEEDED, stepStatuses: [{ stepId: 'a', finishedAt, outputs }] };
  return fake.put(init, owner).id;
}

/** The path of a file, with every character escaped that has a meaning in a URL. */
export function pathOf(workflowId: string, key: string): string {
  return `/v1/workflows/${workflowId}/artifacts/${key.split('/').map(encodeURIComponent).join('/')}`;
}

/** The settings of a gateway over this store. */
export function storeSettings(endpoint: string) {
  return {
    R2_ENDPOINT: endpoint,
    R2_BUCKET: BUCKET,
    R2_ACCESS_KEY_ID: 'test-key',
    R2_SECRET_ACCESS_KEY: 'test-secret',
  };
}

/** Of a store that is asked whatever it has answered before, for tests of one answer after the other. */
export const createNoGuards = (): StoreGuards => ({
  breaker: { begin: () => () => undefined },
  retryBudget: createRetryBudget({ ratio: 1 }),
});

/** How many downloads have failed on the side of the store, by those reasons that have come up. */
export async function readFailures(gateway: TestGateway): Promise<Record<string, number>> {
  const text = await (await gateway.request('/metrics')).text();
  const lines = text.matchAll(/^foldforge_gateway_object_store_failures_total\{reason="(\w+)"\} ([1-9]\d*)$/gm);
  return Object.fromEntries([...lines].map(([, reason, count]) => [reason, Number(count)]));
}

/** The errors that were logged under a request id. */
export function faultsOf(gateway: TestGateway, requestId: string): readonly { readonly code: string }[] {
  const lines = gateway.logLines.filter((line) => line.includes(`"request_id":"${requestId}"`));
  return lines.map((line) => JSON.parse(line)).filter(({ code }) => code !== undefined);
}
