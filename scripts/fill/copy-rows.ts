import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import type { MadeWorkflow } from './made-workflow.ts';

const CHUNK_CHARACTERS = 64 * 1024;

type Value = string | number | bigint | Uint8Array | readonly string[] | null;

const WORKFLOW_COLUMNS = 'id, owner, spec, labels, state, last_event_id, created_at, updated_at';
const STEP_COLUMNS =
  'workflow_id, step_id, position, tool, depends_on, state, attempt, fraction, output, fault, started_at, finished_at';
const EVENT_COLUMNS = 'workflow_id, event_id, body';

/** Writes the rows of workflows in one transaction. */
export async function copyWorkflows(client: pg.Client, made: readonly MadeWorkflow[]): Promise<void> {
  await client.query('begin');
  await copy(client, `workflows (${WORKFLOW_COLUMNS})`, made.map(workflowLine));
  await copy(client, `steps (${STEP_COLUMNS})`, made.flatMap(stepLines));
  await copy(client, `events (${EVENT_COLUMNS})`, made.flatMap(eventLines));
  await client.query('commit');
}

async function copy(client: pg.Client, target: string, lines: readonly string[]): Promise<void> {
  await pipeline(Readable.from(joinLines(lines)), client.query(copyFrom(`copy ${target} from stdin`)));
}

function* joinLines(lines: readonly string[]): Generator<string> {
  let chunk = '';
  for (const line of lines) {
    chunk += line;
    if (chunk.length < CHUNK_CHARACTERS) continue;
    yield chunk;
    chunk = '';
  }
  yield chunk;
}

function workflowLine({ workflow, spec, labels }: MadeWorkflow): string {
  const { id, owner, state, lastEventId, createdUs, updatedUs } = workflow;
  return lineOf([id, owner, spec, JSON.stringify(labels), state, lastEventId, timeOf(createdUs), timeOf(updatedUs)]);
}

function stepLines({ workflow, steps }: MadeWorkflow): string[] {
  return steps.map((step, index) => {
    const { stepId, tool, dependsOn, state, attempt, fraction, output, fault, startedUs, finishedUs } = step;
    const json = [output, fault].map((value) => value && JSON.stringify(value));
    const times = [startedUs, finishedUs].map((time) => (time === null ? null : timeOf(time)));
    return lineOf([workflow.id, stepId, index + 1, tool, dependsOn, state, attempt, fraction, ...json, ...times]);
  });
}

function eventLines({ workflow, events }: MadeWorkflow): string[] {
  return events.map((body, index) => lineOf([workflow.id, index + 1, body]));
}

/** COPY's text format: https://www.postgresql.org/docs/current/sql-copy.html */
function lineOf(values: readonly Value[]): string {
  return `${values.map(fieldOf).join('\t')}\n`;
}

function fieldOf(value: Value): string {
  if (value === null) return '\\N';
  if (value instanceof Uint8Array)
    return `\\\\x${Buffer.from(value.buffer, value.byteOffset, value.length).toString('hex')}`;
  if (typeof value === 'object') return escapeField(`{${value.map((item) => JSON.stringify(item)).join(',')}}`);
  return escapeField(String(value));
}

function escapeField(text: string): string {
  return text.replaceAll(/[\\\n\r\t]/g, (character) => ESCAPES[character]!);
}

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** Microseconds since 1970 as a timestamp with all its digits. */
function timeOf(microseconds: bigint): string {
  const seconds = new Date(Number(microseconds / 1_000_000n) * 1000).toISOString().slice(0, 19);
  return `${seconds}.${String(microseconds % 1_000_000n).padStart(6, '0')}Z`;
}
