import { createParser } from 'eventsource-parser';

export interface StreamMessage {
  readonly type: string;
  /** Undefined where the event has none of its own. */
  readonly id: string | undefined;
  readonly data: string;
}

interface ReadOptions {
  readonly signal: AbortSignal;
  /** Called for every piece of the body, also for one that ends no event. */
  readonly heard: () => void;
  /** How long to wait before coming back, in milliseconds. */
  readonly onRetry: (ms: number) => void;
}

/**
 * The events of a `text/event-stream` body (WHATWG HTML section 9.2), in order, however its bytes are cut. What the end
 * of the body cuts off is no event. Throws what the body throws, and the signal's reason.
 */
export async function* readStream(
  response: Response,
  { signal, heard, onRetry }: ReadOptions,
): AsyncGenerator<StreamMessage, void> {
  if (!response.body) throw new Error('The answer has no body.');
  const messages: StreamMessage[] = [];
  const parser = createParser({
    onRetry,
    onEvent: ({ id, event, data }) => messages.push({ type: event ?? 'message', id, data }),
  });
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  // A body that is not the network's may not know the signal.
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  aborted.catch(() => {});
  signal.addEventListener('abort', abort);
  try {
    signal.throwIfAborted();
    for (;;) {
      const { done, value } = await Promise.race([reader.read(), aborted]);
      if (done) return;
      heard();
      parser.feed(decoder.decode(value, { stream: true }));
      while (messages.length > 0) yield messages.shift()!;
    }
  } finally {
    signal.removeEventListener('abort', abort);
    reader.cancel().catch(() => {});
  }
}
