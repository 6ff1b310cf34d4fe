/** An answer as it came over the wire, correctly framed. */
export interface WireAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
  /** It is over only with its connection, and that was still open when the reader had seen enough. */
  readonly endless?: boolean;
}

/** What was read so far. `fault`: it is no HTTP answer, and never will be one. */
export interface Reading {
  readonly answers: readonly WireAnswer[];
  /** Interim ones (1xx). */
  readonly interims: readonly number[];
  /** Bytes of an answer that is not complete. */
  readonly rest: Buffer;
  readonly fault?: string;
}

const STATUS_LINE = /^HTTP\/1\.1 ([1-5]\d\d) [\t\x20-\x7e]*$/;
const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t ]*([\t\x20-\x7e\x80-\xff]*?)[\t ]*$/;
const CHUNK_SIZE = /^[0-9A-Fa-f]{1,8}$/;
const OPENING = 'HTTP/1.1 ';
const EMPTY = Buffer.alloc(0);

/**
 * Reads answers strictly (RFC 9112). `isBare(index)`: that answer is to a HEAD request; undefined: nobody knows, and it is
 * one if another answer, or the end, follows its head. `isOver`: nothing more will come.
 */
export function readAnswers(bytes: Buffer, isBare: (index: number) => boolean | undefined, isOver: boolean): Reading {
  const answers: WireAnswer[] = [];
  const interims: number[] = [];
  let at = 0;
  const failed = (fault: string): Reading => ({ answers, interims, rest: bytes.subarray(at), fault });

  for (;;) {
    const headEnd = bytes.indexOf('\r\n\r\n', at);
    if (headEnd < 0) break;
    const [start = '', ...lines] = bytes.toString('latin1', at, headEnd).split('\r\n');
    const status = Number(STATUS_LINE.exec(start)?.[1]);
    if (!status) return failed(`no status line: ${JSON.stringify(start.slice(0, 200))}`);
    const headers = new Headers();
    for (const line of lines) {
      const [, name, value] = FIELD.exec(line) ?? [];
      if (name === undefined) return failed(`no header: ${JSON.stringify(line.slice(0, 200))}`);
      if (name.toLowerCase() === 'content-length' && headers.has(name)) return failed('two Content-Length');
      headers.append(name, value!);
    }
    const bodyAt = headEnd + 4;
    if (status < 200) {
      if (status === 101) return failed('the protocol was switched');
      interims.push(status);
      at = bodyAt;
      continue;
    }
    const length = headers.get('content-length');
    const coding = headers.get('transfer-encoding');
    if (length !== null && coding !== null) return failed('Content-Length and Transfer-Encoding');
    if (length !== null && !/^\d+$/.test(length)) return failed(`Content-Length ${length}`);
    if (coding !== null && coding !== 'chunked') return failed(`Transfer-Encoding ${coding}`);
    if (status === 204 && (length !== null || coding !== null)) return failed('204 with the framing of a body');

    const next = bytes.toString('latin1', bodyAt, bodyAt + OPENING.length);
    const asked = isBare(answers.length) ?? (next === OPENING || (isOver && next === ''));
    // Who cannot read a request does not know that it is a HEAD.
    const isUnread = status >= 400 && status < 500 && headers.get('connection') === 'close' && next !== '';
    const bare = asked && !isUnread;
    const whole = (body: Buffer, end: number) => {
      answers.push({ status, headers, body });
      at = end;
    };
    if (bare || status === 204 || status === 304) {
      whole(EMPTY, bodyAt);
    } else if (coding !== null) {
      const read = readChunked(bytes, bodyAt);
      if (typeof read === 'string') return failed(read);
      if (!read) break;
      whole(read.body, read.end);
    } else if (length !== null) {
      const end = bodyAt + Number(length);
      if (end > bytes.length) break;
      whole(bytes.subarray(bodyAt, end), end);
    } else {
      answers.push({ status, headers, body: bytes.subarray(bodyAt), ...(!isOver && { endless: true }) });
      at = bytes.length;
      break;
    }
  }
  const rest = bytes.subarray(at);
  if (isOver && rest.length > 0) return failed('an answer broke off');
  const opening = OPENING.slice(0, rest.length);
  if (rest.length > 0 && !rest.subarray(0, opening.length).equals(Buffer.from(opening))) return failed('stray bytes');
  return { answers, interims, rest };
}

/** Undefined: it has not all come. A text: what is wrong. */
function readChunked(
  bytes: Buffer,
  start: number,
): { readonly body: Buffer; readonly end: number } | string | undefined {
  const chunks: Buffer[] = [];
  for (let at = start; ; ) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd < 0) return undefined;
    const line = bytes.toString('latin1', at, lineEnd);
    if (!CHUNK_SIZE.test(line)) return `chunk size ${JSON.stringify(line.slice(0, 40))}`;
    const sizeBytes = Number.parseInt(line, 16);
    const end = lineEnd + 2 + sizeBytes;
    if (bytes.length < end + 2) return undefined;
    if (bytes.toString('latin1', end, end + 2) !== '\r\n') return 'a chunk without an end';
    if (sizeBytes === 0) return { body: Buffer.concat(chunks), end: end + 2 };
    chunks.push(bytes.subarray(lineEnd + 2, end));
    at = end + 2;
  }
}
