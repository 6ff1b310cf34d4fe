import type { Evidence, Finding } from './evidence.ts';
import { describeAttempt } from './history.ts';

/** So many findings are told with their histories; the rest is counted. */
const TOLD = 5;

export interface RunTimes {
  readonly startMs: number;
  /** What struck when. */
  readonly events: readonly { readonly atMs: number; readonly text: string }[];
}

/** Each finding with what happened to its order or its key, and all that broke. */
export function describeFindings(findings: readonly Finding[], evidence: Evidence, times: RunTimes): string[] {
  if (findings.length === 0) return [];
  const told = findings.slice(0, TOLD).map((finding) => describeFinding(finding, evidence, times));
  const rest = findings.length > TOLD ? [`and ${findings.length - TOLD} more`] : [];
  const events = times.events.map(({ atMs, text }) => `  ${((atMs - times.startMs) / 1_000).toFixed(3)} s ${text}`);
  return [...told, ...rest, ['what broke:', ...events].join('\n')];
}

function describeFinding({ fault, order, caller }: Finding, evidence: Evidence, { startMs }: RunTimes): string {
  const { history, callers, snapshot } = evidence;
  const names = callers.map(({ name }) => name);
  const attempts = history.filter((attempt) =>
    order === undefined ? attempt.caller === caller : attempt.order === order,
  );
  const orders = new Set(attempts.map((attempt) => attempt.order));
  const workflows = snapshot.workflows.filter((workflow) => orders.has(workflow.order ?? ''));
  const lines = workflows.flatMap(({ id, order: label, body, state, steps, succeeded }) => [
    `  workflow ${id} of order ${label}, body ${body}: ${state}, ${succeeded} of ${steps} steps succeeded`,
    ...snapshot.ledger.filter(({ reason }) => reason.endsWith(id)).map(({ reason, delta }) => `    ${reason} ${delta}`),
  ]);
  const subject = order === undefined ? fault : `order ${order} ${fault}`;
  return [subject, ...attempts.map((attempt) => `  ${describeAttempt(attempt, names, startMs)}`), ...lines].join('\n');
}
