import { HeadObjectCommand, S3Client } from '@aws-sdk/client-s3';
import type pg from 'pg';
import type { JobState } from '../../../src/gen/foldforge/common/v1/common_pb.ts';
import { decodeEvent, stateOf } from '../../../src/orchestrator/wire.ts';
import type { TestObjectStore } from '../../support/object-store.ts';
import type { StoredEvent, StoredFile, StoredHistory, StoredStep } from './evidence.ts';

const AT_A_TIME = 16;

interface WorkflowRow {
  readonly id: string;
  readonly order: string;
  readonly state: string;
  readonly lastEventId: number;
}

/** All workflows with their steps and events, in the order of their acceptance. */
export async function readHistories(client: pg.Client): Promise<StoredHistory[]> {
  const workflows = await client.query<WorkflowRow>(
    `select id, coalesce(labels->>'order', '') as "order", state, last_event_id::integer as "lastEventId"
     from workflows order by created_at`,
  );
  const steps = await client.query<StoredStep & { workflowId: string }>(
    `select workflow_id as "workflowId", step_id as id, state, coalesce(
       (select jsonb_agg(jsonb_build_object('uri', file->'uri', 'sizeBytes', file->'sizeBytes'))
        from jsonb_array_elements(output->'artifacts') as file), '[]') as files
     from steps order by position`,
  );
  const events = await client.query<{ workflowId: string; body: Uint8Array }>(
    'select workflow_id as "workflowId", body from events order by workflow_id, event_id',
  );
  const stepsOf = Map.groupBy(steps.rows, ({ workflowId }) => workflowId);
  const eventsOf = Map.groupBy(events.rows, ({ workflowId }) => workflowId);
  return workflows.rows.map((row) => ({
    ...row,
    steps: (stepsOf.get(row.id) ?? []).map(({ id, state, files }) => ({ id, state, files })),
    events: (eventsOf.get(row.id) ?? []).map(({ body }) => readEvent(body)),
  }));
}

function readEvent(body: Uint8Array): StoredEvent {
  const { eventId, event } = decodeEvent(body);
  const id = Number(eventId);
  if (event.case === 'stepUpdate') {
    const { stepId, state, fraction } = event.value;
    return { id, step: stepId, state: nameOf(state), fraction, steps: new Map() };
  }
  if (event.case !== 'workflowUpdate') throw new Error(`event ${id} is a ${event.case}, which is never stored`);
  const { state, stepStatuses } = event.value;
  const steps = new Map(stepStatuses.map((step) => [step.stepId, nameOf(step.state)]));
  return { id, step: undefined, state: nameOf(state), fraction: 0, steps };
}

function nameOf(state: JobState): string {
  return stateOf(state) ?? `state ${state}`;
}

/** Asks the store itself for each file that `histories` name. */
export async function readObjects(
  histories: readonly StoredHistory[],
  store: TestObjectStore,
): Promise<Map<string, number>> {
  const client = new S3Client({
    endpoint: store.url,
    region: 'auto',
    credentials: { accessKeyId: store.accessKeyId, secretAccessKey: store.secretAccessKey },
    forcePathStyle: true,
  });
  const files: StoredFile[] = histories.flatMap(({ steps }) => steps.flatMap((step) => step.files));
  const uris = [...new Set(files.map(({ uri }) => uri))];
  const sizes = new Map<string, number>();
  const look = async () => {
    for (let uri = uris.pop(); uri !== undefined; uri = uris.pop()) {
      const url = new URL(uri);
      const command = new HeadObjectCommand({ Bucket: url.hostname, Key: url.pathname.slice(1) });
      const head = await client.send(command).catch((error: Error) => {
        if (error.name === 'NotFound') return undefined;
        throw error;
      });
      if (head) sizes.set(uri, head.ContentLength!);
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, look));
  client.destroy();
  return sizes;
}
