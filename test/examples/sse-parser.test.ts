import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createParser } from 'eventsource-parser';
import fc from 'fast-check';

interface ParsedEvent {
  readonly type: string;
  readonly data: string;
  readonly lastEventId: string;
}

interface SseParser {
  push(bytes: Uint8Array): void;
  lastEventId(): string;
}

type CreateSseParser = (options: {
  readonly lastEventId?: string;
  readonly onEvent: (event: ParsedEvent) => void;
  readonly onRetry?: (ms: number) => void;
}) => SseParser;

// The page's module is JavaScript without types, as a browser takes it.
const module = new URL('../../examples/browser/sse-parser.js', import.meta.url).href;
const { createSseParser } = (await import(module)) as { createSseParser: CreateSseParser };

/** What the parser makes of these chunks. */
function parse(chunks: readonly Uint8Array[], lastEventId = '') {
  const events: ParsedEvent[] = [];
  const retries: number[] = [];
  const parser = createSseParser({
    lastEventId,
    onEvent: (event) => events.push(event),
    onRetry: (ms) => retries.push(ms),
  });
  for (const chunk of chunks) parser.push(chunk);
  return { events, retries, lastEventId: parser.lastEventId() };
}

const parseText = (text: string, lastEventId = '') => parse([Buffer.from(text)], lastEventId);

/** What the package eventsource-parser makes of the whole text. Its `id` is only what stood in the event's own block. */
function parseWithPackage(text: string) {
  const events: { type: string; data: string; id: string | undefined }[] = [];
  const retries: number[] = [];
  const parser = createParser({
    onEvent: ({ id, event = 'message', data }) => events.push({ type: event, data, id }),
    onRetry: (ms) => retries.push(ms),
  });
  parser.feed(text);
  return { events, retries };
}

const value = fc.string({
  unit: fc.constantFrom('a', ' ', ':', '7', '0', 'é', '蛋', '🧬', '\0', '\ufeff'),
  maxLength: 8,
});
const field = fc.constantFrom('data', 'data', 'data', 'event', 'id', 'retry', '', 'Data', 'other');
const line = fc.oneof(
  fc.tuple(field, fc.constantFrom(':', ': ', ':  '), value).map((parts) => parts.join('')),
  fc.constantFrom('data', 'event', 'id', 'retry', 'retry: 1500', 'id: 18446744073709551615'),
  fc.constant(''),
);
const lineBreak = fc.constantFrom('\n', '\r', '\r\n');
/** A stream whose last line may be unfinished, with the places where the network cuts its bytes. */
const stream = fc.record({
  // A CR at the very end would tell the package nothing before the next byte.
  text: fc
    .tuple(fc.array(fc.tuple(line, lineBreak), { maxLength: 40, size: 'max' }), value)
    .map(([lines, last]) => `${lines.flat().join('')}:${last}`),
  cuts: fc.array(fc.nat(400), { maxLength: 20 }),
});

function cutAt(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).toSorted((a, b) => a - b), bytes.length];
  return places.slice(1).map((place, index) => bytes.subarray(places[index], place));
}

describe("the page's parser of Server-Sent Events", () => {
  it('reads what eventsource-parser reads, wherever the bytes are cut', () => {
    let compared = 0;
    fc.assert(
      fc.property(stream, ({ text, cuts }) => {
        const own = parse(cutAt(Buffer.from(text), cuts));
        const other = parseWithPackage(text);
        assert.deepEqual(own.retries, other.retries);
        assert.deepEqual(
          own.events.map(({ type, data }) => ({ type, data })),
          other.events.map(({ type, data }) => ({ type, data })),
        );
        for (const [index, { id }] of other.events.entries()) {
          if (id !== undefined) assert.equal(own.events[index]?.lastEventId, id);
        }
        assert.deepEqual(own, parse([Buffer.from(text)]), 'the cuts change nothing');
        compared += other.events.length;
      }),
      { numRuns: 2_000 },
    );
    assert.ok(compared > 1_000, `only ${compared} events were compared`);
  });

  it('reads one byte at a time', () => {
    const text = '\ufeffretry: 20\r\nid: 1\r\nevent: step_update\r\ndata: 🧬\r\ndata: é\r\n\r\nid: 2\rdata\r\r: x\n\n';
    const { events, retries } = parse([...Buffer.from(text)].map((byte) => Buffer.from([byte])));
    assert.deepEqual(retries, [20]);
    assert.deepEqual(events, [
      { type: 'step_update', data: '🧬\né', lastEventId: '1' },
      { type: 'message', data: '', lastEventId: '2' },
    ]);
  });

  it('reports an event when its last CR is there, not one byte later', () => {
    assert.equal(parseText('data: now\r\r').events.length, 1);
  });

  it('reads the examples of the standard', () => {
    assert.deepEqual(
      parseText(': test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n').events,
      [
        { type: 'message', data: 'first event', lastEventId: '1' },
        { type: 'message', data: 'second event', lastEventId: '' },
        { type: 'message', data: ' third event', lastEventId: '' },
      ],
    );
    assert.deepEqual(
      parseText('data\n\ndata\ndata\n\ndata:').events.map(({ data }) => data),
      ['', '\n'],
    );
  });

  it('keeps the id of a whole block, also of one without data, and no other', () => {
    assert.equal(parseText('id: 5\n\n').lastEventId, '5');
    assert.equal(parseText('data: x\n\n', '4').lastEventId, '4');
    assert.equal(parseText('data: x\n\n', '4').events[0]?.lastEventId, '4');
    assert.equal(parseText('id: 5\n\nid: 6\ndata: cut o', '4').lastEventId, '5');
    assert.equal(parseText('id: 5\n\nid: 6\ndata: cut off\n', '4').lastEventId, '5');
    assert.equal(parseText('id: 5\0\ndata: x\n\n', '4').lastEventId, '4');
  });

  it('takes only digits for a reconnection time', () => {
    assert.deepEqual(
      parseText('retry: 1000\nretry: 1s\nretry: -5\nretry:\nretry: 1.5\nretry:٣\nretry: 0\n').retries,
      [1_000, 0],
    );
  });
});
