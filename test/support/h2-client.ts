import { type ClientHttp2Session, type ClientHttp2Stream, connect, type IncomingHttpHeaders } from 'node:http2';
import { within } from './waiting.ts';

export interface H2Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface H2Request {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

export type H2Client = ReturnType<typeof openH2>;

/** One connection of HTTP/2 over TLS to this machine. */
export function openH2(port: number, ca: string) {
  const session: ClientHttp2Session = connect(`https://localhost:${port}`, { ca });
  session.on('error', () => {});

  /** A request whose answer is still to come; its body is the caller's to end when there is none yet. */
  function open(path: string, { method = 'GET', headers = {} }: H2Request = {}, endStream = true): ClientHttp2Stream {
    const stream = session.request(
      { ':path': path, ':method': method, authorization: 'Bearer dev-token', ...headers },
      { endStream },
    );
    stream.on('error', () => {});
    return stream;
  }

  return {
    session,
    open,
    async request(path: string, asked: H2Request = {}): Promise<H2Answer> {
      const stream = open(path, asked, asked.body === undefined);
      if (asked.body !== undefined) stream.end(asked.body);
      return within(`the answer to ${path}`, readAnswer(stream));
    },
    close: () => session.destroy(),
  };
}

/** Rejects when the stream ends without an answer, or before the end of it. */
export function readAnswer(stream: ClientHttp2Stream): Promise<H2Answer> {
  return new Promise((resolve, reject) => {
    let headers: IncomingHttpHeaders & { ':status'?: number } = {};
    const chunks: Buffer[] = [];
    stream.once('response', (fields) => {
      headers = fields;
    });
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.once('error', reject);
    stream.once('close', () => reject(new Error(`closed with ${stream.rstCode}`)));
    // Not the close: of a body that is not taken to its end the client keeps the rest.
    stream.once('end', () => {
      const status = headers[':status'];
      if (status === undefined) reject(new Error(`ended with ${stream.rstCode} and no answer`));
      else resolve({ status, headers, body: Buffer.concat(chunks).toString() });
    });
  });
}
