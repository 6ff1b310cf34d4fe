import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { createParser, type EventSourceMessage } from 'eventsource-parser';

interface ResumingClientOptions {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The first cursor; undefined: none is sent before there is one. */
  readonly from?: string;
  /** How long to wait before the next connection, in milliseconds; `askedMs` is what the server's last `retry` said. */
  readonly retryMs: (askedMs: number | undefined) => number;
  readonly onEvent: (event: EventSourceMessage) => void;
}

export type ResumingClient = ReturnType<typeof startResumingClient>;

/**
 * Watches a stream of Server-Sent Events over as many connections as it takes, each a new one, until `event: end` or a
 * 204 says that it is over. By the rules of WHATWG HTML, section 9.2.6: an id counts once its block is complete, with
 * data or without, and what is left of a block when the connection ends is forgotten.
 */
export function startResumingClient({ url, headers, from, retryMs, onEvent }: ResumingClientOptions) {
  const stopped = new AbortController();
  const statuses: number[] = [];
  let cursor = from;
  let askedMs: number | undefined;
  let ended = false;
  const parser = createParser({
    onEvent(event) {
      if (event.event === 'end') ended = true;
      onEvent(event);
    },
    onRetry(delayMs) {
      askedMs = delayMs;
    },
  });

  /** One connection, to its end. Throws when it breaks. */
  async function watchOnce(): Promise<void> {
    const request = http.get(url, {
      agent: false,
      headers: { ...headers, ...(cursor !== undefined && { 'Last-Event-ID': cursor }) },
      signal: stopped.signal,
    });
    // A connection that breaks says so twice: here, and where the answer is read.
    request.on('error', () => {});
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    statuses.push(response.statusCode!);
    if (response.statusCode === 204) ended = true;
    response.setEncoding('utf8');
    let rest = '';
    for await (const chunk of response) {
      if (response.statusCode !== 200) continue;
      const blocks = (rest + chunk).split('\n\n');
      rest = blocks.pop()!;
      for (const block of blocks) readBlock(block);
    }
  }

  function readBlock(block: string): void {
    // The parser does not tell of an id without data.
    cursor = /^id: ?(.*)$/m.exec(block)?.[1] ?? cursor;
    parser.feed(`${block}\n\n`);
  }

  async function watch(): Promise<void> {
    while (!ended) {
      await watchOnce().catch(() => {});
      stopped.signal.throwIfAborted();
      if (!ended) await sleep(retryMs(askedMs), undefined, { signal: stopped.signal });
    }
  }

  const over = watch();
  over.catch(() => {});
  return {
    /** Settles when the stream is over; rejects when the client was stopped before. */
    over,
    /** The status of every answer so far. */
    statuses: statuses as readonly number[],
    stop: () => stopped.abort(),
  };
}
