import { createParser, type EventSourceMessage } from 'eventsource-parser';
import { ApiError, toApiError } from './api-error.ts';
import { readChunks } from './body.ts';
import { type Caller, delayAfter, isTrouble } from './call.ts';
import type { ErrorBody, State, Workflow, WorkflowEvent } from './contract.ts';

/** An event of the stream, as `openapi.yaml` describes it. `end` is the last one. */
export type WatchedEvent =
  | { readonly event: 'step_update' | 'workflow_update'; readonly id?: string; readonly data: WorkflowEvent }
  | { readonly event: 'gap'; readonly data: { readonly requested: string; readonly oldest: string } }
  | { readonly event: 'end'; readonly data: { readonly state: State } };

export interface WatchOptions {
  /** Every stored event with a higher id comes first; without it a snapshot, then what is new. */
  readonly from?: string | undefined;
  /** How long to do without the server before that is an error, in milliseconds. */
  readonly timeoutMs?: number | undefined;
}

interface Stream {
  cursor: string | undefined;
  /** What the server has asked for. */
  retryMs: number;
  /** How many attempts have brought nothing, one after the other. */
  failures: number;
  /** By the caller's clock. */
  heardAt: number;
}

/**
 * Each event once, in order, to the end of the workflow, over as many connections as it takes. Throws an ApiError when
 * the server refuses for good, and the last fault when it was away for longer than `timeoutMs`.
 */
export async function* watchEvents(
  caller: Caller,
  id: string,
  { from, timeoutMs = caller.timeoutMs }: WatchOptions,
): AsyncGenerator<WatchedEvent, void> {
  const { clock, signal, onTrouble } = caller;
  const path = `/v1/workflows/${encodeURIComponent(id)}`;
  const stream: Stream = { cursor: from, retryMs: 1_000, failures: 0, heardAt: clock.now() };
  for (;;) {
    let delayMs: number | undefined;
    try {
      const headers: Record<string, string> = stream.cursor === undefined ? {} : { 'Last-Event-ID': stream.cursor };
      const response = await caller.attempt({ path: `${path}/events`, headers }, async (opened) => opened);
      stream.heardAt = clock.now();
      if (response.status === 204) {
        const { state } = await caller.call<Workflow>({ path }, caller.readJson);
        yield { event: 'end', data: { state } };
        return;
      }
      for await (const message of readMessages(caller, response, stream)) {
        if (message.event === 'error') throw toApiError(JSON.parse(message.data) as ErrorBody);
        const watched = toWatchedEvent(message);
        if (watched) yield watched;
        if (watched?.event === 'end') return;
      }
    } catch (error) {
      if (!isTrouble(error) || !error.isPassing) throw error;
      delayMs = delayAfter(error, stream.failures++, stream.retryMs);
      if (clock.now() + delayMs - stream.heardAt > timeoutMs) throw error;
      onTrouble(error, delayMs);
    }
    await clock.sleep(delayMs ?? stream.retryMs, signal);
  }
}

/** The complete messages of one connection. Keeps the cursor, the server's `retry`, and when it was heard. */
async function* readMessages(
  { clock, signal }: Caller,
  response: Response,
  stream: Stream,
): AsyncGenerator<EventSourceMessage> {
  if (!response.headers.get('content-type')?.startsWith('text/event-stream')) {
    const { status } = response;
    throw new ApiError('answered with no event stream', { status, code: `HTTP_${status}`, retryable: false });
  }
  const messages: EventSourceMessage[] = [];
  const decoder = new TextDecoder();
  const parser = createParser({
    onEvent: (message) => messages.push(message),
    onRetry(retryMs) {
      stream.retryMs = retryMs;
    },
  });
  for await (const chunk of readChunks(response, signal)) {
    stream.heardAt = clock.now();
    parser.feed(decoder.decode(chunk, { stream: true }));
    for (const message of messages.splice(0)) {
      stream.failures = 0;
      stream.cursor = message.id ?? stream.cursor;
      yield message;
    }
  }
}

function toWatchedEvent({ event, id, data }: EventSourceMessage): WatchedEvent | undefined {
  switch (event) {
    case 'step_update':
    case 'workflow_update':
      return { event, ...(id !== undefined && { id }), data: JSON.parse(data) as WorkflowEvent };
    case 'gap':
    case 'end':
      return { event, data: JSON.parse(data) };
    default:
      return undefined;
  }
}
