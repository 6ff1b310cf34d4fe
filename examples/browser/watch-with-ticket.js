import { callApi, overNetwork, RequestError, readState, toRequestError } from './api.js';
import { createWatchdog, persist } from './persist.js';

const EVENT_TYPES = ['workflow_update', 'step_update', 'gap', 'heartbeat'];

/**
 * Watches a workflow with an EventSource, and resolves with the final state. An EventSource cannot send a header, so
 * the API key buys a ticket: a pass for this one workflow that may stand in a URL, because it opens streams for a minute
 * only. After a shorter loss the EventSource comes back by itself. After a longer one its ticket is refused, which
 * closes it for good: then a new ticket and a new EventSource go on where the old one stopped.
 *
 * - `onEvent({ id, type, data })`: a snapshot first (a workflow_update with the id ''), then every event once, in order,
 *   however often the connection is lost. `data` is the event's JSON, parsed.
 * - `onStatus(status, text)`: `connecting`, `live` or `waiting`, and a sentence to show.
 * - `silenceMs`: the server sends a heartbeat after 15 s of silence. Three times that means that the connection is dead,
 *   also where no packet has said so.
 * - `signal` ends it: the promise is rejected with the signal's reason. A RequestError says why the server refused.
 */
export function watchWithTicket({ workflowId, apiKey, silenceMs = 45_000, onEvent, onStatus, signal }) {
  const workflowPath = `/v1/workflows/${encodeURIComponent(workflowId)}`;
  let cursor = '';

  /** A URL that can be opened without the key. Its refusal, unlike an EventSource's, has a status that says why. */
  async function buyTicket(either) {
    const response = await callApi(`${workflowPath}/stream-tickets`, { method: 'POST', apiKey, signal: either });
    const { url: path } = await overNetwork(response.json(), either);
    const url = new URL(path, location.origin);
    // A script sees this heartbeat; the comment that is sent otherwise never leaves the EventSource.
    url.searchParams.set('heartbeat', 'event');
    // Where the EventSource reconnects by itself, its Last-Event-ID header wins over this.
    if (cursor !== '') url.searchParams.set('last_event_id', cursor);
    return url;
  }

  /** Whether nothing is left to come: 204. For an EventSource that is a refusal like any other. */
  async function isOver(url, either) {
    if (cursor === '') return false;
    const { status } = await overNetwork(fetch(url, { method: 'HEAD', cache: 'no-store', signal: either }), either);
    return status === 204;
  }

  async function watchOnce(live) {
    const silence = new AbortController();
    const watchdog = createWatchdog(silenceMs, (error) => silence.abort(error));
    const either = AbortSignal.any([signal, silence.signal]);
    let source;
    try {
      const url = await buyTicket(either);
      if (await isOver(url, either)) return await readState(workflowId, { apiKey, signal: either });
      watchdog.heard();
      source = new EventSource(url);
      return await listen(source, { live, watchdog, either });
    } finally {
      watchdog.stop();
      source?.close();
    }
  }

  /** Resolves with the final state; rejects when the EventSource is of no more use. */
  function listen(source, { live, watchdog, either }) {
    const { promise, resolve, reject } = Promise.withResolvers();
    either.addEventListener('abort', () => reject(either.reason));
    source.addEventListener('open', () => {
      watchdog.heard();
      live();
    });
    for (const type of EVENT_TYPES) {
      source.addEventListener(type, (event) => {
        watchdog.heard();
        // The id of this event or the last one before it. A stream begins with the id that it was asked to go on from.
        cursor = event.lastEventId;
        if (type !== 'heartbeat') onEvent({ type, id: cursor, data: JSON.parse(event.data) });
      });
    }
    source.addEventListener('end', (event) => resolve(JSON.parse(event.data).state));
    source.addEventListener('error', (event) => {
      // Two things have this name: an event that the server sent, which has data, and the loss of the connection.
      if (event instanceof MessageEvent) {
        const error = toRequestError(JSON.parse(event.data));
        // The server closes the stream now; if that can help, the EventSource opens it again.
        if (!error.retryable) reject(error);
      } else if (source.readyState === EventSource.CLOSED) {
        reject(new RequestError('the stream was closed', { retryable: true }));
      } else {
        onStatus('waiting', 'The connection was lost. The browser opens it again by itself.');
      }
    });
    return promise;
  }

  return persist(watchOnce, { resumeAfterMs: () => 0, onStatus, signal });
}
