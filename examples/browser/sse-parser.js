/**
 * Parses a stream of Server-Sent Events as the WHATWG HTML standard says in section 9.2.6.
 *
 * `push(bytes)` takes the next bytes, cut anywhere. `onEvent({ type, data, lastEventId })` is called for each complete
 * event, `onRetry(ms)` when the server sets the reconnection time. A block that the end of the stream cuts off is never
 * reported, and neither is its id.
 */
export function createSseParser({ lastEventId = '', onEvent, onRetry }) {
  // Keeps the bytes of a character that a chunk has cut in two, and drops a byte order mark at the start.
  const decoder = new TextDecoder();
  let unfinishedLine = '';
  let endedWithCr = false;
  let type = '';
  let data = [];
  let id = lastEventId;

  function endBlock() {
    // Only now, and also when the block has no data: half a block must not move the place to resume from.
    lastEventId = id;
    const event = { type: type || 'message', data: data.join('\n'), lastEventId };
    const isEvent = data.length > 0;
    type = '';
    data = [];
    if (isEvent) onEvent(event);
  }

  function readLine(line) {
    if (line === '') return endBlock();
    const colon = line.indexOf(':');
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') data.push(value);
    else if (field === 'event') type = value;
    else if (field === 'id' && !value.includes('\0')) id = value;
    else if (field === 'retry' && /^\d+$/.test(value)) onRetry?.(Number(value));
    // Anything else is ignored. A comment is a line whose field name is empty.
  }

  return {
    /** The id of the last complete block that had one: what to send as Last-Event-ID. It may come without an event. */
    lastEventId: () => lastEventId,
    push(bytes) {
      let text = decoder.decode(bytes, { stream: true });
      if (text === '') return;
      // CR LF is one line break, also when a chunk ends between the two.
      if (endedWithCr && text.startsWith('\n')) text = text.slice(1);
      endedWithCr = text.endsWith('\r');
      const lines = text.split(/\r\n|\r|\n/);
      lines[0] = unfinishedLine + lines[0];
      unfinishedLine = lines.pop();
      for (const line of lines) readLine(line);
    },
  };
}
