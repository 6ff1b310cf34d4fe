import { setTimeout as sleep } from 'node:timers/promises';
import { EventSourceParserStream } from 'eventsource-parser/stream';
import { bodyOf, type FoldForge, type Schemas, secondsToWait, toApiError } from './client.ts';

/** The server says something every 15 seconds; after a silence of this many milliseconds the connection is dead. */
const SILENCE_MS = 45_000;

interface Place {
  /** The id of the last event that we have. `0` asks for all of them. */
  cursor: string;
  /** How long the server wants us to wait before we come back. */
  retryMs: number;
}

/**
 * Every event of a workflow once, in order, from the first one to the end. A lost stream is resumed after the last event
 * that came. Returns the state in which the workflow ended. Throws an ApiError when the server refuses.
 */
export async function* watchWorkflow(
  foldforge: FoldForge,
  id: string,
  onLoss: (reason: unknown, place: Place) => void,
): AsyncGenerator<Schemas['WorkflowEvent'], Schemas['State']> {
  const place: Place = { cursor: '0', retryMs: 1_000 };
  for (;;) {
    try {
      const state = yield* watchOnce(foldforge, id, place);
      if (state) return state;
      onLoss('the server ended it', place);
    } catch (error) {
      if (secondsToWait(error) === undefined) throw error;
      onLoss(error, place);
    }
    await sleep(place.retryMs);
  }
}

/** Reads one stream as far as it goes, and keeps `place`. Returns undefined when the workflow is not over yet. */
async function* watchOnce(
  foldforge: FoldForge,
  id: string,
  place: Place,
): AsyncGenerator<Schemas['WorkflowEvent'], Schemas['State'] | undefined> {
  const silence = new AbortController();
  const giveUp = () => silence.abort(new DOMException('it was silent for too long', 'TimeoutError'));
  let timer = setTimeout(giveUp, SILENCE_MS);
  try {
    const path = { id };
    const answer = await foldforge.GET('/v1/workflows/{id}/events', {
      params: { path, header: { 'Last-Event-ID': place.cursor }, query: { heartbeat: 'event' } },
      parseAs: 'stream',
      signal: silence.signal,
    });
    // Nothing after our cursor, and nothing to come.
    if (answer.response.status === 204) {
      return bodyOf(await foldforge.GET('/v1/workflows/{id}', { params: { path } })).state;
    }
    const onRetry = (ms: number) => {
      place.retryMs = ms;
    };
    const text = bodyOf(answer)!.pipeThrough(new TextDecoderStream());
    for await (const event of text.pipeThrough(new EventSourceParserStream({ onRetry }))) {
      clearTimeout(timer);
      timer = setTimeout(giveUp, SILENCE_MS);
      const data = JSON.parse(event.data);
      if (event.event === 'end') return data.state;
      if (event.event === 'error') throw toApiError(data, answer.response);
      if (event.event === 'step_update' || event.event === 'workflow_update') yield data;
      // Only now: an event that nobody has taken must come again.
      if (event.id !== undefined) place.cursor = event.id;
    }
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}
