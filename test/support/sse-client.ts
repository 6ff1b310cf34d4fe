/** One Server-Sent Event as it stood in the stream. */
export interface SseEvent {
  readonly id?: string;
  readonly event?: string;
  readonly data?: string;
  readonly retry?: string;
  readonly comment?: string;
}

/** Reads events as they come (WHATWG HTML, section 9.2.6; enough of it for a stream that we write). */
export async function* readSse(response: Response): AsyncGenerator<SseEvent> {
  let rest = '';
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + chunk).split('\n\n');
    rest = blocks.pop()!;
    for (const block of blocks) {
      const fields = block.split('\n').map((line) => {
        const colon = line.indexOf(':');
        return [line.slice(0, colon) || 'comment', line.slice(colon + 1).replace(/^ /, '')];
      });
      yield Object.fromEntries(fields);
    }
  }
}

/** Collects events until `enough` holds, then leaves; or until the stream ends. */
export async function collectSse(
  response: Response,
  enough: (events: readonly SseEvent[]) => boolean = () => false,
): Promise<SseEvent[]> {
  const events: SseEvent[] = [];
  for await (const event of readSse(response)) {
    events.push(event);
    if (enough(events)) break;
  }
  return events;
}

/** The ids of those events that have one; an id without data is the cursor, given back. */
export const idsOf = (events: readonly SseEvent[]): string[] =>
  events.flatMap(({ id, data }) => (id === undefined || data === undefined ? [] : [id]));
