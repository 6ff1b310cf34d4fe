import { constants, Http2ServerResponse, type OutgoingHttpHeaders, type ServerHttp2Stream } from 'node:http2';

/** The largest piece that is handed to node:http2, which says of a piece only when all of it is taken. */
const PIECE_BYTES = 65_536;

type Written = (error?: Error | null) => void;

/** What is used of node:http2's answer. Its types have as properties what the class has as accessors. */
interface Http2Response {
  readonly stream: ServerHttp2Stream;
  writeHead(statusCode: number, headers: OutgoingHttpHeaders): this;
  write(chunk: Uint8Array, onWritten?: Written): boolean;
  end(...body: unknown[]): this;
  destroy(error?: Error): void;
  emit(event: string | symbol, ...args: unknown[]): boolean;
}

const StreamResponse = Http2ServerResponse as unknown as new (stream: ServerHttp2Stream) => Http2Response;

/** An answer on a stream of HTTP/2 that behaves as node:http's does, for whoever writes answers to both. */
export class Http2Answer extends StreamResponse {
  #handedOver = 0;
  #stall: { readonly ms: number; readonly onStall: () => void } | undefined;
  #seen = { taken: -1, atMs: 0 };

  /** node:http2 leaves it out. */
  get destroyed(): boolean {
    return this.stream.destroyed || this.stream.closed;
  }

  /** Not so for node:http2 alone: a stream that its client resets has an end, too, and that of HEAD from the beginning. */
  get writableFinished(): boolean {
    const { aborted, headersSent, rstCode, writableFinished } = this.stream;
    return writableFinished && headersSent && !aborted && rstCode === constants.NGHTTP2_NO_ERROR;
  }

  /** A connection is for many answers, so none can say what becomes of it (RFC 9113, section 8.2.2). */
  override writeHead(statusCode: number, headers: OutgoingHttpHeaders = {}): this {
    const { Connection, ...allowed } = headers as OutgoingHttpHeaders & { Connection?: string };
    return super.writeHead(statusCode, allowed);
  }

  override write(chunk: Uint8Array | string, onWritten?: Written): boolean {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    this.#handedOver += bytes.length;
    if (bytes.length <= PIECE_BYTES) return super.write(bytes, onWritten);
    // All that waits would be put together again.
    (this.stream as { _writev?: unknown })._writev = null;
    let at = 0;
    for (; at + PIECE_BYTES < bytes.length; at += PIECE_BYTES) super.write(bytes.subarray(at, at + PIECE_BYTES));
    return super.write(bytes.subarray(at), onWritten);
  }

  override end(chunk?: Uint8Array | string): this {
    // What has no body, as an answer to HEAD, has ended with its head.
    if (chunk !== undefined && !this.stream.writableEnded) this.write(chunk);
    return super.end();
  }

  /** Without an error the client would be told that all is well, and could take a part for the whole. */
  override destroy(error: Error = new Error('the answer is broken off')): void {
    super.destroy(error);
  }

  /** node:http2 tells of a good end also where the client has left before. */
  override emit(event: string | symbol, ...args: unknown[]): boolean {
    return (event !== 'finish' || this.writableFinished) && super.emit(event, ...args);
  }

  /** `onStall` is called when the client takes nothing of what waits for so long, instead of what is usual then. */
  setTimeout(ms: number, onStall: () => void): this {
    this.#stall = { ms, onStall };
    return this;
  }

  /**
   * To be called now and then: whoever takes nothing for `ms` is cut off. node:http2's own timeout would count what others
   * take on the same connection. Answers with for how long nothing has been taken, in milliseconds.
   */
  checkStall(nowMs: number, ms: number): number {
    const { writableLength, writableEnded } = this.stream;
    const taken = this.#handedOver - writableLength;
    // What has ended is there until its last frame has gone, also where that is all of it.
    const waits = writableLength > 0 || writableEnded;
    if (!waits || taken !== this.#seen.taken) this.#seen = { taken, atMs: nowMs };
    const stalledMs = nowMs - this.#seen.atMs;
    if (stalledMs >= (this.#stall?.ms ?? ms)) this.cutOff();
    return stalledMs;
  }

  /** Because its client takes nothing. */
  cutOff(): void {
    if (this.#stall) this.#stall.onStall();
    else this.destroy(new Error('the client takes nothing of its answer'));
  }
}
