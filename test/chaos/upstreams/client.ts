import http from 'node:http';

/** An answer as it came. */
export interface Reply {
  /** 0: there was none. */
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
  /** The word of an error. */
  readonly code: string | undefined;
  /** Why the answer is missing or not whole. */
  readonly broken: 'no answer' | 'broken off' | 'too late' | undefined;
  readonly beganMs: number;
  readonly endedMs: number;
}

export interface Request {
  readonly method?: 'GET' | 'POST' | 'DELETE' | 'HEAD';
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** Leaves when so many bytes of the answer have come. */
  readonly leaveAfterBytes?: number;
  readonly signal?: AbortSignal;
}

/** Longer than the gateway's own deadline: whoever waits for more than this is not answered at all. */
const PATIENCE_MS = 15_000;
/** The same for a file, for whose bytes the gateway waits longer. */
const FILE_PATIENCE_MS = 35_000;

export type Client = ReturnType<typeof createClient>;

/** A client with one credential that keeps its connections. Every request has an id of its own, which begins with `name`. */
export function createClient(port: number, name: string, token: string | undefined) {
  const agent = new http.Agent({ keepAlive: true, maxFreeSockets: 16, timeout: 60_000 });
  let made = 0;

  function send({ method = 'GET', path, headers = {}, body, leaveAfterBytes, signal }: Request): Promise<Reply> {
    const beganMs = performance.now();
    return new Promise((resolve) => {
      const chunks: Buffer[] = [];
      let sizeBytes = 0;
      let response: http.IncomingMessage | undefined;
      const settle = (broken: Reply['broken']) => {
        clearTimeout(timer);
        const whole = Buffer.concat(chunks);
        const { statusCode = 0, headers: answered = {} } = response ?? {};
        const code = statusCode >= 400 && !broken ? readCode(whole) : undefined;
        const endedMs = performance.now();
        resolve({ status: statusCode, headers: answered, body: whole, code, broken, beganMs, endedMs });
      };
      const text = body === undefined ? undefined : JSON.stringify(body);
      const request = http.request({
        host: '127.0.0.1',
        port,
        method,
        path,
        agent,
        ...(signal && { signal }),
        headers: {
          // A long poll asks the orchestrator more than once by design.
          'X-Request-Id': `${path.includes('?wait=') ? 'poll-' : ''}${name}-${++made}`,
          ...(token && { Authorization: `Bearer ${token}` }),
          ...(text && { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) }),
          ...headers,
        },
      });
      const patienceMs = path.includes('/artifacts/') ? FILE_PATIENCE_MS : PATIENCE_MS;
      const timer = setTimeout(() => {
        settle('too late');
        request.destroy();
      }, patienceMs);
      request.on('error', () => settle(response ? 'broken off' : 'no answer'));
      request.on('response', (incoming) => {
        response = incoming;
        incoming.on('data', (chunk: Buffer) => {
          chunks.push(chunk);
          sizeBytes += chunk.length;
          if (leaveAfterBytes === undefined || sizeBytes < leaveAfterBytes) return;
          settle(undefined);
          request.destroy();
        });
        incoming.on('error', () => settle('broken off'));
        incoming.on('close', () => settle(incoming.complete ? undefined : 'broken off'));
      });
      request.end(text);
    });
  }

  return { name, token, send, close: () => agent.destroy() };
}

function readCode(body: Buffer): string | undefined {
  try {
    return (JSON.parse(String(body)) as { code?: string }).code;
  } catch {
    return undefined;
  }
}
