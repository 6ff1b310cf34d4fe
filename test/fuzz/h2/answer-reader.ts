import { createHpackDecoder } from '../../../src/gateway/upstream/http2/hpack/decoder.ts';
import { ERROR, FLAG, FRAME, type Frame, readFrame } from '../../support/h2-frames.ts';

/** What has come on one stream. */
export interface StreamReading {
  readonly interims: readonly number[];
  readonly status: number | undefined;
  readonly headers: Headers;
  readonly chunks: readonly Buffer[];
  readonly isEnded: boolean;
  readonly resetCode: number | undefined;
}

export interface GoAway {
  readonly lastStreamId: number;
  readonly code: number;
}

interface Events {
  /** Something has come on that stream. */
  readonly onStream?: (streamId: number, stream: StreamReading) => void;
  /** SETTINGS, PING, WINDOW_UPDATE and GOAWAY, which are in order. */
  readonly onControl?: (frame: Frame) => void;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer U)[] ? U[] : T[K] };

const TABLE_BYTES = 4_096;
const FIELD_NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
const FIELD_VALUE = /^(?:[!-~\x80-\xff](?:[\t !-~\x80-\xff]*[!-~\x80-\xff])?)?$/;
const STATUS = /^[1-5]\d\d$/;
const OF_A_CONNECTION = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade']);
const KNOWN_CODES = new Set<number>(Object.values(ERROR));
const CONTROL_BYTES: Readonly<Record<number, number>> = {
  [FRAME.ping]: 8,
  [FRAME.windowUpdate]: 4,
  [FRAME.rstStream]: 4,
};

export type AnswerReader = ReturnType<typeof createAnswerReader>;

/** Reads what a server sends on a connection of HTTP/2, strictly (RFC 9113). `fault()`: it is none, and never will be one. */
export function createAnswerReader({ onStream = () => {}, onControl = () => {} }: Events = {}) {
  const decoder = createHpackDecoder({ tableSizeBytes: TABLE_BYTES });
  const streams = new Map<number, Mutable<StreamReading>>();
  let unread: Buffer = Buffer.alloc(0);
  let hasSettings = false;
  let fault: string | undefined;
  let goAway: GoAway | undefined;
  let block: { readonly streamId: number; readonly isEnd: boolean; readonly parts: Buffer[] } | undefined;

  function need(isGood: unknown, what: string): asserts isGood {
    if (!isGood) throw new Error(what);
  }

  function take({ type, flags, streamId, payload }: Frame): void {
    need(hasSettings || (type === FRAME.settings && !(flags & FLAG.ack)), `frame ${type} before SETTINGS`);
    hasSettings = true;
    need(!block || (type === FRAME.continuation && streamId === block.streamId), `frame ${type} within a header block`);
    const bytes = CONTROL_BYTES[type];
    need(bytes === undefined || payload.length === bytes, `frame ${type} of ${payload.length} bytes`);
    const isStreamFrame = type === FRAME.headers || type === FRAME.data || type === FRAME.rstStream;
    need(!isStreamFrame || streamId % 2 === 1, `frame ${type} on stream ${streamId}`);
    if (type === FRAME.headers) {
      const isEnd = (flags & FLAG.endStream) !== 0;
      need(!(flags & (FLAG.padded | FLAG.priority)), 'HEADERS with padding or priority, which this server never sends');
      block = { streamId, isEnd, parts: [payload] };
      if (flags & FLAG.endHeaders) endBlock();
    } else if (type === FRAME.continuation) {
      need(block, 'CONTINUATION of nothing');
      block.parts.push(payload);
      if (flags & FLAG.endHeaders) endBlock();
    } else if (type === FRAME.data) {
      takeData(streamId, payload, flags);
    } else if (type === FRAME.rstStream) {
      const stream = streamOf(streamId);
      need(stream.resetCode === undefined, `two resets of stream ${streamId}`);
      stream.resetCode = codeIn(payload, 0);
      onStream(streamId, stream);
    } else takeControl({ type, flags, streamId, payload });
  }

  function takeControl(frame: Frame): void {
    const { type, flags, streamId, payload } = frame;
    need(type !== FRAME.pushPromise, 'PUSH_PROMISE, which nobody allowed');
    need(type === FRAME.windowUpdate || streamId === 0, `frame ${type} on stream ${streamId}`);
    if (type === FRAME.settings) {
      need(payload.length % 6 === 0 && (!(flags & FLAG.ack) || payload.length === 0), 'SETTINGS of a wrong length');
    } else if (type === FRAME.windowUpdate) {
      need((payload.readUInt32BE(0) & 0x7fffffff) > 0, 'WINDOW_UPDATE of nothing');
    } else if (type === FRAME.goAway) {
      need(payload.length >= 8, 'GOAWAY that is too short');
      const lastStreamId = payload.readUInt32BE(0) & 0x7fffffff;
      // To a client that floods, nghttp2 and Node each say it, and the second one may name a later stream.
      goAway = { lastStreamId, code: codeIn(payload, 4) };
    }
    onControl(frame);
  }

  function codeIn(payload: Buffer, offset: number): number {
    const code = payload.readUInt32BE(offset);
    need(KNOWN_CODES.has(code), `the error code ${code}`);
    return code;
  }

  function takeData(streamId: number, payload: Buffer, flags: number): void {
    const stream = streamOf(streamId);
    need(stream.status !== undefined, `DATA before the answer on stream ${streamId}`);
    mustBeOpen(streamId, stream);
    const padding = flags & FLAG.padded ? payload[0]! + 1 : 0;
    need(payload.length >= padding, 'more padding than DATA');
    if (padding > 0) stream.chunks.push(payload.subarray(1, payload.length - padding + 1));
    else stream.chunks.push(payload);
    stream.isEnded = (flags & FLAG.endStream) !== 0;
    onStream(streamId, stream);
  }

  function endBlock(): void {
    const { streamId, isEnd, parts } = block!;
    block = undefined;
    const bytes = Buffer.concat(parts);
    const fields: [name: string, value: string][] = [];
    decoder.decode(bytes, 0, bytes.length, (name, value) => fields.push([name, value]));
    const stream = streamOf(streamId);
    mustBeOpen(streamId, stream);
    need(stream.status === undefined, `a second answer, or trailers, on stream ${streamId}`);
    const [first, ...others] = fields;
    need(first?.[0] === ':status' && STATUS.test(first[1]), `an answer that begins with ${first}`);
    const headers = new Headers();
    for (const [name, value] of others) {
      need(FIELD_NAME.test(name) && !OF_A_CONNECTION.has(name), `the field ${JSON.stringify(name)}`);
      need(FIELD_VALUE.test(value), `the value ${JSON.stringify(value.slice(0, 200))} of ${name}`);
      need(name !== 'content-length' || (/^\d+$/.test(value) && !headers.has(name)), `content-length ${value}`);
      headers.append(name, value);
    }
    const status = Number(first[1]);
    need(status !== 101 && (status >= 200 || !isEnd), `${status} as the answer`);
    if (status < 200) stream.interims.push(status);
    else Object.assign(stream, { status, headers, isEnded: isEnd });
    onStream(streamId, stream);
  }

  function streamOf(streamId: number): Mutable<StreamReading> {
    const known = streams.get(streamId);
    if (known) return known;
    const fresh: Mutable<StreamReading> = {
      interims: [],
      status: undefined,
      headers: new Headers(),
      chunks: [],
      isEnded: false,
      resetCode: undefined,
    };
    streams.set(streamId, fresh);
    return fresh;
  }

  function mustBeOpen(streamId: number, { isEnded, resetCode }: StreamReading): void {
    need(!isEnded && resetCode === undefined, `something follows the end of stream ${streamId}`);
  }

  return {
    streams: streams as ReadonlyMap<number, StreamReading>,
    goAway: () => goAway,
    fault: () => fault,
    read(chunk: Buffer): void {
      if (fault !== undefined) return;
      unread = unread.length === 0 ? chunk : Buffer.concat([unread, chunk]);
      try {
        for (let next = readFrame(unread, 0); next; next = readFrame(unread, 0)) {
          unread = unread.subarray(next.end);
          take(next.frame);
        }
      } catch (error) {
        fault = (error as Error).message;
      }
    },
  };
}
