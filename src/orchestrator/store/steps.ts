import type { StepFault, StepOutput, Tool } from '../runners/runner.ts';
import type { Connection, Queryable } from './database.ts';
import type { State } from './workflows.ts';

export interface StepRow {
  readonly stepId: string;
  readonly tool: Tool;
  readonly dependsOn: readonly string[];
  readonly state: State;
  /** From 1; each retry adds one. */
  readonly attempt: number;
  /** How many of the attempts before were given up without anybody's doing, since somebody last asked for one. */
  readonly retries: number;
  /** 0 to 1. */
  readonly fraction: number;
  readonly output: StepOutput | null;
  readonly fault: StepFault | null;
  /** Microseconds since 1970. */
  readonly startedUs: bigint | null;
  readonly finishedUs: bigint | null;
}

/** A step row `s` as JSON. Microseconds since 1970 fit a JSON number exactly until the year 2255. */
export const STEP_JSON = `jsonb_build_object(
  'stepId', s.step_id, 'tool', s.tool, 'dependsOn', s.depends_on, 'state', s.state, 'attempt', s.attempt,
  'retries', s.retries, 'fraction', s.fraction, 'output', s.output, 'fault', s.fault,
  'startedUs', (extract(epoch from s.started_at) * 1000000)::bigint,
  'finishedUs', (extract(epoch from s.finished_at) * 1000000)::bigint)`;

export interface StepJson extends Omit<StepRow, 'startedUs' | 'finishedUs'> {
  readonly startedUs: number | null;
  readonly finishedUs: number | null;
}

export function stepFromJson(json: StepJson): StepRow {
  return {
    ...json,
    startedUs: json.startedUs === null ? null : BigInt(json.startedUs),
    finishedUs: json.finishedUs === null ? null : BigInt(json.finishedUs),
  };
}

async function queryRows(db: Queryable, sql: string, values: unknown[]): Promise<StepRow[]> {
  const { rows } = await db.query<{ step: StepJson }>(sql, values);
  return rows.map(({ step }) => stepFromJson(step));
}

// A step whose dependencies have all succeeded runs, or may run as soon as there is room.
const READY = `s.state = 'QUEUED' and not exists (
  select 1 from steps d where d.workflow_id = s.workflow_id and d.step_id = any(s.depends_on) and d.state <> 'SUCCEEDED')`;

/** Stores the steps of a new workflow, in the order of its spec; those that wait for nothing can run from now on. */
export async function insertSteps(
  connection: Connection,
  workflowId: string,
  steps: readonly StepRow[],
): Promise<void> {
  const added = steps.map(({ stepId, tool, dependsOn }) => ({ stepId, tool, dependsOn }));
  await connection.query(
    `insert into steps (workflow_id, step_id, position, tool, depends_on, state, queued_at)
     select $1, step->>'stepId', position, step->>'tool',
            array(select jsonb_array_elements_text(step->'dependsOn')), 'QUEUED',
            case when step->'dependsOn' = '[]' then clock_timestamp() end
     from jsonb_array_elements($2::jsonb) with ordinality as list(step, position)`,
    [workflowId, JSON.stringify(added)],
  );
}

/** The steps that `stepId`, which has just succeeded, was the last to hold back: they can run from now on. */
export function releaseSteps(connection: Connection, workflowId: string, stepId: string): Promise<StepRow[]> {
  return queryRows(
    connection,
    `with released as (
       update steps s set queued_at = clock_timestamp()
       where s.workflow_id = $1 and $2 = any(s.depends_on) and ${READY} returning s.*)
     select ${STEP_JSON} as step from released s order by s.position`,
    [workflowId, stepId],
  );
}

export interface StepCounts {
  /** Running, or about to. */
  readonly live: number;
  readonly succeeded: number;
  readonly total: number;
}

export async function countSteps(connection: Connection, workflowId: string): Promise<StepCounts> {
  const { rows } = await connection.query<StepCounts>(
    `select (count(*) filter (where s.state = 'RUNNING' or (${READY})))::integer as live,
            (count(*) filter (where s.state = 'SUCCEEDED'))::integer as succeeded,
            count(*)::integer as total
     from steps s where s.workflow_id = $1`,
    [workflowId],
  );
  return rows[0]!;
}

/** What the steps `stepIds` made, by step id. */
export async function stepOutputs(
  db: Queryable,
  workflowId: string,
  stepIds: readonly string[],
): Promise<Record<string, StepOutput>> {
  const { rows } = await db.query<{ stepId: string; output: StepOutput }>(
    `select s.step_id as "stepId", s.output from steps s
     where s.workflow_id = $1 and s.step_id = any($2) and s.output is not null`,
    [workflowId, stepIds],
  );
  return Object.fromEntries(rows.map(({ stepId, output }) => [stepId, output]));
}

/** The step, when it still is in this attempt and not finished. */
export async function findLiveStep(
  connection: Connection,
  workflowId: string,
  stepId: string,
  attempt: number,
): Promise<StepRow | undefined> {
  const rows = await queryRows(
    connection,
    `select ${STEP_JSON} as step from steps s where s.workflow_id = $1 and s.step_id = $2 and s.attempt = $3
       and s.state in ('QUEUED', 'RUNNING')`,
    [workflowId, stepId, attempt],
  );
  return rows[0];
}

export interface StartedStep {
  readonly step: StepRow;
  /** How long it could have run and did not; null when an older program has not said since when. */
  readonly waitedSeconds: number | null;
}

export async function markRunning(connection: Connection, workflowId: string, stepId: string): Promise<StartedStep> {
  const { rows } = await connection.query<{ step: StepJson; waitedSeconds: number | null }>(
    `update steps s set state = 'RUNNING', started_at = clock_timestamp()
     where s.workflow_id = $1 and s.step_id = $2
     returning ${STEP_JSON} as step,
       greatest(0, extract(epoch from s.started_at - s.queued_at))::double precision as "waitedSeconds"`,
    [workflowId, stepId],
  );
  const { step, waitedSeconds } = rows[0]!;
  return { step: stepFromJson(step), waitedSeconds };
}

/** Undefined when the step has already come as far: its fraction never goes back within an attempt. */
export async function markProgress(
  connection: Connection,
  workflowId: string,
  stepId: string,
  fraction: number,
): Promise<StepRow | undefined> {
  const rows = await queryRows(
    connection,
    `update steps s set fraction = $3
     where s.workflow_id = $1 and s.step_id = $2 and s.fraction < $3::real returning ${STEP_JSON} as step`,
    [workflowId, stepId, fraction],
  );
  return rows[0];
}

export async function markSucceeded(
  connection: Connection,
  workflowId: string,
  stepId: string,
  output: StepOutput,
): Promise<StepRow> {
  const rows = await queryRows(
    connection,
    `update steps s set state = 'SUCCEEDED', fraction = 1, output = $3, finished_at = clock_timestamp()
     where s.workflow_id = $1 and s.step_id = $2 returning ${STEP_JSON} as step`,
    [workflowId, stepId, JSON.stringify(output, dropNonFinite)],
  );
  return rows[0]!;
}

/** JSON has no NaN or Infinity: such a metric is left out. */
function dropNonFinite(_key: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isFinite(value) ? undefined : value;
}

export async function markFailed(
  connection: Connection,
  workflowId: string,
  stepId: string,
  fault: StepFault,
): Promise<StepRow> {
  const rows = await queryRows(
    connection,
    `update steps s set state = 'FAILED', fault = $3, finished_at = clock_timestamp()
     where s.workflow_id = $1 and s.step_id = $2 returning ${STEP_JSON} as step`,
    [workflowId, stepId, JSON.stringify(fault)],
  );
  return rows[0]!;
}

/** Readies a step for its next attempt, which may begin after `delayMs`. */
export async function markRetried(
  connection: Connection,
  workflowId: string,
  stepId: string,
  delayMs: number,
): Promise<StepRow> {
  const rows = await queryRows(
    connection,
    `update steps s set state = 'QUEUED', attempt = attempt + 1, retries = retries + 1, fraction = 0, started_at = null,
       queued_at = clock_timestamp() + $3::double precision * interval '1 millisecond'
     where s.workflow_id = $1 and s.step_id = $2 returning ${STEP_JSON} as step`,
    [workflowId, stepId, delayMs],
  );
  return rows[0]!;
}

export async function cancelLiveSteps(connection: Connection, workflowId: string): Promise<StepRow[]> {
  return queryRows(
    connection,
    `with changed as (
       update steps s set state = 'CANCELLED', finished_at = clock_timestamp()
       where s.workflow_id = $1 and s.state in ('QUEUED', 'RUNNING') returning s.*)
     select ${STEP_JSON} as step from changed s order by s.position`,
    [workflowId],
  );
}

/** Readies every failed step for its next attempt. */
export async function requeueFailedSteps(connection: Connection, workflowId: string): Promise<StepRow[]> {
  return queryRows(
    connection,
    `with changed as (
       update steps s set state = 'QUEUED', attempt = attempt + 1, retries = 0, fraction = 0, fault = null,
         started_at = null, finished_at = null, queued_at = clock_timestamp()
       where s.workflow_id = $1 and s.state = 'FAILED' returning s.*)
     select ${STEP_JSON} as step from changed s order by s.position`,
    [workflowId],
  );
}
