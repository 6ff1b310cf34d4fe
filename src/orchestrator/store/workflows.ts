import type { Connection, Queryable } from './database.ts';
import { STEP_JSON, type StepJson, type StepRow, stepFromJson } from './steps.ts';

export type State = 'QUEUED' | 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'CANCELLED';

export function isTerminal(state: State): boolean {
  return state !== 'QUEUED' && state !== 'RUNNING';
}

export interface WorkflowRow {
  readonly id: string;
  /** Null: submitted with the static token. */
  readonly owner: string | null;
  readonly state: State;
  readonly lastEventId: bigint;
  /** Credits it cost that were not refunded. */
  readonly charged: bigint;
  /** How often it was debited. */
  readonly charges: number;
  /** W3C Trace Context of the call that submitted it; null: it had none. */
  readonly traceparent: string | null;
  /** Microseconds since 1970. */
  readonly createdUs: bigint;
  readonly updatedUs: bigint;
}

/** The large part of a workflow, which is left out wherever only its state matters. */
export interface WorkflowContent {
  /** WorkflowSpec as protobuf bytes. */
  readonly spec: Uint8Array;
  /** In the order of the spec. */
  readonly steps: readonly StepRow[];
}

export type WorkflowWithSteps = WorkflowRow & WorkflowContent;

/** The columns of a row `w` that make a WorkflowRow. */
export const WORKFLOW_COLUMNS = `
  w.id, w.owner, w.state, w.last_event_id as "lastEventId", w.charged, w.charges, w.traceparent,
  (extract(epoch from w.created_at) * 1000000)::bigint as "createdUs",
  (extract(epoch from w.updated_at) * 1000000)::bigint as "updatedUs"`;

// One statement sees one moment: the workflow, its steps and its last event id always fit together.
const CONTENT = `
  w.spec, (select jsonb_agg(${STEP_JSON} order by s.position) from steps s where s.workflow_id = w.id) as steps`;
/** The columns of a row `w` that make a WorkflowWithSteps by `withSteps`. */
export const WITH_STEPS = `${WORKFLOW_COLUMNS}, ${CONTENT}`;

type ContentJson = { readonly spec: Uint8Array; readonly steps: readonly StepJson[] | null };
export type Joined = WorkflowRow & ContentJson;

export function withSteps<R extends ContentJson>(row: R): Omit<R, 'steps'> & WorkflowContent {
  return { ...row, steps: (row.steps ?? []).map(stepFromJson) };
}

export interface NewWorkflow {
  readonly id: string;
  readonly owner: string | undefined;
  readonly spec: Uint8Array;
  readonly labels: Readonly<Record<string, string>>;
  readonly traceparent: string | undefined;
  /** Credits that this transaction debits for it. */
  readonly charged: bigint;
}

/** Stores a workflow that is QUEUED. Its first event id is taken: the answer's lastEventId. */
export async function insertWorkflow(connection: Connection, workflow: NewWorkflow): Promise<WorkflowRow> {
  const { rows } = await connection.query<WorkflowRow>(
    `insert into workflows as w
       (id, owner, spec, labels, state, last_event_id, charged, charges, traceparent, created_at, updated_at)
     select $1, $2, $3, $4, 'QUEUED', 1, $5::bigint, ($5::bigint > 0)::integer, $6, moment, moment
     from clock_timestamp() as moment returning ${WORKFLOW_COLUMNS}`,
    [
      workflow.id,
      workflow.owner ?? null,
      workflow.spec,
      JSON.stringify(workflow.labels),
      workflow.charged,
      workflow.traceparent ?? null,
    ],
  );
  return rows[0]!;
}

/** The workflow when `principal` may see it (undefined: may see every one). */
export async function findWorkflow(
  db: Queryable,
  id: string,
  principal: string | undefined,
): Promise<WorkflowWithSteps | undefined> {
  const { rows } = await db.query<Joined>(
    `select ${WITH_STEPS} from workflows w where w.id = $1 and ($2::text is null or w.owner = $2)`,
    [id, principal ?? null],
  );
  return rows[0] && withSteps(rows[0]);
}

/** Every change of a workflow begins here: the lock puts changes, and so event ids, into one order. */
export async function lockWorkflow(
  connection: Connection,
  id: string,
  principal?: string,
): Promise<WorkflowRow | undefined> {
  const { rows } = await connection.query<WorkflowRow>(
    `select ${WORKFLOW_COLUMNS} from workflows w where w.id = $1 and ($2::text is null or w.owner = $2) for update`,
    [id, principal ?? null],
  );
  return rows[0];
}

export async function readContent(connection: Connection, id: string): Promise<WorkflowContent> {
  const { rows } = await connection.query<ContentJson>(`select ${CONTENT} from workflows w where w.id = $1`, [id]);
  return withSteps(rows[0]!);
}

/** WorkflowSpec as protobuf bytes. */
export async function readSpec(connection: Connection, id: string): Promise<Uint8Array> {
  const { rows } = await connection.query<{ spec: Uint8Array }>('select spec from workflows where id = $1', [id]);
  return rows[0]!.spec;
}

export async function setCharge(connection: Connection, id: string, charged: bigint, charges: number): Promise<void> {
  await connection.query('update workflows set charged = $2, charges = $3 where id = $1', [id, charged, charges]);
}

/** Takes the next `count` event ids, which end at the answer's lastEventId. */
export async function advanceWorkflow(
  connection: Connection,
  id: string,
  state: State,
  count: number,
): Promise<WorkflowRow> {
  const { rows } = await connection.query<WorkflowRow>(
    `update workflows w set state = $2, last_event_id = last_event_id + $3, updated_at = clock_timestamp()
     where w.id = $1 returning ${WORKFLOW_COLUMNS}`,
    [id, state, count],
  );
  return rows[0]!;
}
