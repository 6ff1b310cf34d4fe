import { setTimeout as sleep } from 'node:timers/promises';
import { JobState } from '../../gen/foldforge/common/v1/common_pb.ts';
import { type Call, startDeadline } from '../context.ts';
import { type ErrorCode, GatewayError, toGatewayError } from '../errors.ts';
import { type EventFrame, eventFrame, type Gap, readGap } from '../wire/sse.ts';
import { isTerminal, type State, stateToJson } from '../wire/workflow-json.ts';
import type { Orchestrator } from './orchestrator.ts';

/** Faults of the connection or of a server that is restarting: the stream is opened again behind them. */
const PASSING: ReadonlySet<ErrorCode> = new Set([
  'UNAVAILABLE',
  'OVERLOADED',
  'INTERNAL',
  'CONFLICT',
  'DEADLINE_EXCEEDED',
]);
/** How long a stream must live for its next fault to be a new one. */
const STABLE_MS = 1_000;
const FIRST_BACKOFF_MS = 100;
/** With the second in which a sick orchestrator is tried out again: watchers are back within 2 s of it. */
const LAST_BACKOFF_MS = 800;
/** From one that is there, and says that it can do no more, or that something went wrong: thousands of streams ask. */
const REFUSED_BACKOFF_MS = 10_000;
const REFUSALS: ReadonlySet<ErrorCode> = new Set(['OVERLOADED', 'INTERNAL', 'CONFLICT']);

export interface Follow {
  readonly workflowId: string;
  /** Undefined: a snapshot, then live. A bigint: every stored event with a higher id, then live. */
  readonly cursor: bigint | undefined;
  readonly metadata: Call['metadata'];
  readonly signal: AbortSignal;
  /** How long the orchestrator may be lost before that is said, in milliseconds. */
  readonly lossMs: number;
  readonly callTimeoutMs: number;
}

/**
 * The events of one workflow, each once and in order, over as many upstream streams as it takes. Returns the state when
 * the workflow is over. Throws a GatewayError when the caller may not see it, or the orchestrator stays lost.
 */
export async function* followEvents(
  orchestrator: Pick<Orchestrator, 'streamWorkflowEvents' | 'getWorkflow'>,
  { workflowId, cursor, metadata, signal, lossMs, callTimeoutMs }: Follow,
): AsyncGenerator<EventFrame | Gap, State> {
  let last = cursor ?? 0n;
  let lostAt: number | undefined;
  let backoffMs = FIRST_BACKOFF_MS;
  let wasFinal = false;
  for (;;) {
    let openedAt: number | undefined;
    let mostMs = LAST_BACKOFF_MS;
    try {
      // After a loss: a stream may stay silent for hours, so it cannot tell whether the orchestrator is back.
      if (lostAt !== undefined) await readState();
      openedAt = performance.now();
      const request = { workflowId, fromEventId: last, replay: cursor !== undefined && last === 0n };
      let over: State | undefined;
      const before = last;
      for await (const event of orchestrator.streamWorkflowEvents(request, { signal, metadata })) {
        if (event.eventId !== 0n && event.eventId <= last) continue;
        if (event.eventId !== 0n) {
          last = event.eventId;
          lostAt = undefined;
          backoffMs = FIRST_BACKOFF_MS;
        }
        over = terminalState(event);
        yield readGap(event) ?? eventFrame(event);
      }
      if (over) return over;
      // It may have ended well for another reason, just before the workflow did: what is stored by now decides.
      const final = finalState(await readState());
      if (final && wasFinal && last === before) return final;
      wasFinal = final !== undefined;
      if (wasFinal) continue;
      throw new GatewayError('UNAVAILABLE', 'the orchestrator ended the event stream of a workflow that goes on');
    } catch (thrown) {
      const error = toGatewayError(thrown);
      if (!PASSING.has(error.code)) throw error;
      if (REFUSALS.has(error.code)) mostMs = REFUSED_BACKOFF_MS;
      if (openedAt !== undefined && performance.now() - openedAt > STABLE_MS) {
        lostAt = undefined;
        backoffMs = FIRST_BACKOFF_MS;
      }
      lostAt ??= performance.now();
      if (performance.now() - lostAt + backoffMs > lossMs) {
        throw new GatewayError('UNAVAILABLE', `the event stream was lost: ${error.message}`, { cause: error });
      }
    }
    await sleep(backoffMs * (0.5 + Math.random() / 2), undefined, { signal, ref: false });
    backoffMs = Math.min(backoffMs * 2, mostMs);
  }

  async function readState(): Promise<JobState> {
    const call = { signal, timeLeftMs: startDeadline(callTimeoutMs), metadata };
    return (await orchestrator.getWorkflow({ workflowId }, call)).state;
  }
}

/** What a stream that ended well has ended with: a state that is newer than this gateway is an end, too. */
function finalState(state: JobState): State | undefined {
  return state === JobState.QUEUED || state === JobState.RUNNING ? undefined : stateToJson(state);
}

/**
 * Whether a finished workflow has no event after `cursor`. An orchestrator that neither sends one nor ends the stream
 * within the request's time is DEADLINE_EXCEEDED: saying "over" to a client stops it for good.
 */
export async function isOverAt(
  orchestrator: Pick<Orchestrator, 'streamWorkflowEvents'>,
  workflowId: string,
  cursor: bigint,
  call: Call,
): Promise<boolean> {
  const leave = new AbortController();
  const timeout = AbortSignal.timeout(Math.max(0, Math.ceil(call.timeLeftMs())));
  const signal = AbortSignal.any([call.signal, timeout, leave.signal]);
  const request = { workflowId, fromEventId: cursor, replay: cursor === 0n };
  try {
    for await (const _event of orchestrator.streamWorkflowEvents(request, { signal, metadata: call.metadata })) {
      return false;
    }
    return true;
  } catch (error) {
    if (timeout.aborted) throw new GatewayError('DEADLINE_EXCEEDED', 'the event stream did not end', { cause: error });
    throw error;
  } finally {
    leave.abort();
  }
}

function terminalState({ event }: Parameters<typeof eventFrame>[0]): State | undefined {
  if (event.case !== 'workflowUpdate' || !isTerminal(event.value.state)) return undefined;
  return stateToJson(event.value.state);
}
