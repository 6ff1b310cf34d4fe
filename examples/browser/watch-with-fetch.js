import { callApi, overNetwork, RequestError, readState, toRequestError } from './api.js';
import { createWatchdog, persist } from './persist.js';
import { createSseParser } from './sse-parser.js';

/**
 * Watches a workflow with `fetch`, which can send the API key in a header, and resolves with the final state.
 *
 * - `onEvent({ id, type, data })`: a snapshot first (a workflow_update with the id ''), then every event once, in order,
 *   however often the connection is lost. `data` is the event's JSON, parsed.
 * - `onStatus(status, text)`: `connecting`, `live` or `waiting`, and a sentence to show.
 * - `silenceMs`: the server sends a comment after 15 s of silence. Three times that means that the connection is dead,
 *   also where no packet has said so.
 * - `signal` ends it: the promise is rejected with the signal's reason. A RequestError says why the server refused.
 */
export function watchWithFetch({ workflowId, apiKey, silenceMs = 45_000, onEvent, onStatus, signal }) {
  const path = `/v1/workflows/${encodeURIComponent(workflowId)}/events`;
  let cursor = '';
  let retryMs = 3_000;

  async function readStream(live) {
    const silence = new AbortController();
    const watchdog = createWatchdog(silenceMs, (error) => silence.abort(error));
    const either = AbortSignal.any([signal, silence.signal]);
    try {
      const headers = { Accept: 'text/event-stream' };
      if (cursor !== '') headers['Last-Event-ID'] = cursor;
      const response = await callApi(path, { apiKey, headers, signal: either });
      // Nothing is left to come.
      if (response.status === 204) return await readState(workflowId, { apiKey, signal: either });
      live();
      return await readEvents(response.body.getReader(), watchdog, either);
    } finally {
      watchdog.stop();
      // Closes the connection, if it is still there.
      silence.abort();
    }
  }

  async function readEvents(reader, watchdog, either) {
    let state;
    const parser = createSseParser({
      lastEventId: cursor,
      onEvent({ type, data, lastEventId }) {
        if (type === 'end') state = JSON.parse(data).state;
        else if (type === 'error') throw toRequestError(JSON.parse(data));
        else onEvent({ type, data: JSON.parse(data), id: lastEventId });
      },
      onRetry(ms) {
        retryMs = ms;
      },
    });
    while (state === undefined) {
      const { done, value } = await overNetwork(reader.read(), either);
      // A server that shuts down ends its streams, to be resumed at the next one.
      if (done) throw new RequestError('the server ended the stream', { retryable: true });
      watchdog.heard();
      try {
        parser.push(value);
      } finally {
        cursor = parser.lastEventId();
      }
    }
    return state;
  }

  return persist(readStream, { resumeAfterMs: () => retryMs, onStatus, signal });
}
