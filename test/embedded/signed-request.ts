import { createHash, createHmac } from 'node:crypto';
import http from 'node:http';
import type { TestObjectStore } from '../support/object-store.ts';

/** A hand-made client of signature version 4, which can also do what no SDK would. */
export interface RequestOptions {
  readonly method: string;
  readonly path: string;
  readonly query?: Record<string, string>;
  readonly headers?: Record<string, string>;
  readonly body?: Uint8Array;
  /** What x-amz-content-sha256 says; the hash of the body unless given. */
  readonly payload?: string;
  /** Makes the body of a request that is signed in chunks out of a function for their signatures. */
  readonly makeBody?: (sign: SignNext) => Uint8Array;
}

export type SignNext = (kind: 'PAYLOAD' | 'TRAILER', bytes: Uint8Array | string) => string;

export interface Reply {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly bytes: Buffer;
  /** The bytes as text. */
  readonly body: string;
}

type Access = Pick<TestObjectStore, 'url' | 'accessKeyId' | 'secretAccessKey'>;

const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex');
const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();
const encode = (text: string) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

function timestampOf(dateMs: number): string {
  return new Date(dateMs).toISOString().replace(/[-:]|\.\d+/g, '');
}

function createSigner({ secretAccessKey }: Access, timestamp: string) {
  const scope = [timestamp.slice(0, 8), 'us-east-1', 's3', 'aws4_request'];
  const key = scope.reduce<string | Buffer>(hmac, `AWS4${secretAccessKey}`);
  const sign = (kind: string, ...lines: string[]) =>
    hmac(key, [kind, timestamp, scope.join('/'), ...lines].join('\n')).toString('hex');
  return { scope: scope.join('/'), sign };
}

function canonicalQuery(query: Record<string, string>): string {
  const pairs = Object.entries(query).map(([name, value]) => `${encode(name)}=${encode(value)}`);
  return pairs.sort().join('&');
}

/** Signs in the Authorization header, and sends. */
export async function request(access: Access, options: RequestOptions): Promise<Reply> {
  const { method, path, query = {}, body = Buffer.alloc(0) } = options;
  const timestamp = timestampOf(Date.now());
  const headers: Record<string, string> = {
    host: new URL(access.url).host,
    'x-amz-date': timestamp,
    'x-amz-content-sha256': options.payload ?? sha256(body),
    ...options.headers,
  };
  const names = Object.keys(headers).sort();
  const { scope, sign } = createSigner(access, timestamp);
  const canonical = [
    method,
    path,
    canonicalQuery(query),
    ...names.map((name) => `${name}:${headers[name]}`),
    '',
    names.join(';'),
    headers['x-amz-content-sha256'],
  ].join('\n');
  let previous = sign('AWS4-HMAC-SHA256', sha256(canonical));
  headers.authorization = `AWS4-HMAC-SHA256 Credential=${access.accessKeyId}/${scope}, SignedHeaders=${names.join(';')}, Signature=${previous}`;
  const signNext: SignNext = (kind, bytes) => {
    const hashes = kind === 'PAYLOAD' ? [sha256(''), sha256(bytes)] : [sha256(bytes)];
    previous = sign(`AWS4-HMAC-SHA256-${kind}`, previous, ...hashes);
    return previous;
  };
  const search = Object.keys(query).length > 0 ? `?${canonicalQuery(query)}` : '';
  return await send(`${access.url}${path}${search}`, method, headers, options.makeBody?.(signNext) ?? body);
}

/** A URL that lets whoever has it do one thing for a while. */
export function presign(
  access: Access,
  {
    method,
    path,
    query = {},
    expiresS = 60,
    dateMs = Date.now(),
  }: RequestOptions & { expiresS?: number; dateMs?: number },
): string {
  const timestamp = timestampOf(dateMs);
  const { scope, sign } = createSigner(access, timestamp);
  const all = canonicalQuery({
    ...query,
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Credential': `${access.accessKeyId}/${scope}`,
    'X-Amz-Date': timestamp,
    'X-Amz-Expires': String(expiresS),
    'X-Amz-SignedHeaders': 'host',
  });
  const canonical = [method, path, all, `host:${new URL(access.url).host}`, '', 'host', 'UNSIGNED-PAYLOAD'].join('\n');
  return `${access.url}${path}?${all}&X-Amz-Signature=${sign('AWS4-HMAC-SHA256', sha256(canonical))}`;
}

export function send(
  url: string,
  method: string,
  headers: Record<string, string> = {},
  body: Uint8Array = Buffer.alloc(0),
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const outgoing = http.request(url, { method, headers, agent: false }, async (response) => {
      const pieces: Buffer[] = [];
      for await (const piece of response) pieces.push(piece);
      const bytes = Buffer.concat(pieces);
      resolve({ status: response.statusCode!, headers: response.headers, bytes, body: bytes.toString() });
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
