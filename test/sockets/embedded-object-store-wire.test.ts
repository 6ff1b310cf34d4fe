import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { CHECKSUM_ALGORITHMS, createChecksum } from '../../src/embedded/object-store/checksums.ts';
import { startObjectStore } from '../../src/embedded/object-store.ts';
import { createLog } from '../../src/shared/log.ts';
import { presign, type Reply, type RequestOptions, request, type SignNext, send } from '../embedded/signed-request.ts';
import { startTestObjectStore, type TestObjectStore } from '../support/object-store.ts';
import { until, within } from '../support/waiting.ts';

let store: TestObjectStore;
before(async () => {
  store = await startTestObjectStore();
});
after(async () => {
  await store?.close();
});

const HELLO = Buffer.from('hello');
const pathOf = (key: string) => `/${store.bucket}/${key}`;
const put = (key: string, options: Partial<RequestOptions> = {}) =>
  request(store, { method: 'PUT', path: pathOf(key), body: HELLO, ...options });
const get = (key: string, headers: Record<string, string> = {}) =>
  request(store, { method: 'GET', path: pathOf(key), headers });

async function requireRefused(reply: Reply, status: number, code: string, key: string): Promise<void> {
  assert.match(reply.body, new RegExp(`<Code>${code}</Code>`));
  assert.equal(reply.status, status);
  assert.equal((await get(key)).status, 404, 'nothing was stored');
}

test('refuses a body that is not the signed one', async () => {
  const payload = createHash('sha256').update('something else').digest('hex');
  await requireRefused(await put('tampered', { payload }), 400, 'XAmzContentSHA256Mismatch', 'tampered');
  const unknown = await put('tampered', { payload: 'STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD' });
  await requireRefused(unknown, 501, 'NotImplemented', 'tampered');
});

test('holds the body against Content-MD5', async () => {
  const md5 = (bytes: Uint8Array) => ({ 'content-md5': createHash('md5').update(bytes).digest('base64') });
  await requireRefused(await put('md5', { headers: md5(Buffer.from('x')) }), 400, 'BadDigest', 'md5');
  await requireRefused(await put('md5', { headers: { 'content-md5': 'short' } }), 400, 'InvalidDigest', 'md5');
  assert.equal((await put('md5', { headers: md5(HELLO) })).status, 200);
});

for (const algorithm of CHECKSUM_ALGORITHMS) {
  const field = `x-amz-checksum-${algorithm}`;
  const digest = (bytes: Uint8Array) => {
    const checksum = createChecksum(algorithm);
    checksum.update(bytes);
    return checksum.digest().toString('base64');
  };

  test(`holds the body against ${field}, and gives it back`, async () => {
    const wrong = await put(algorithm, { headers: { [field]: digest(Buffer.from('x')) } });
    await requireRefused(wrong, 400, 'BadDigest', algorithm);
    const right = await put(algorithm, { headers: { [field]: digest(HELLO) } });
    assert.equal(right.status, 200);
    assert.equal(right.headers[field], digest(HELLO));
    assert.equal((await get(algorithm, { 'x-amz-checksum-mode': 'ENABLED' })).headers[field], digest(HELLO));
    const part = await get(algorithm, { 'x-amz-checksum-mode': 'ENABLED', range: 'bytes=0-1' });
    assert.equal(part.headers[field], undefined);
  });

  test(`holds the body against a trailing ${field}`, async () => {
    const key = `trailing-${algorithm}`;
    const trailing = (trailer: string) => put(key, unsignedChunks(field, trailer));
    await requireRefused(await trailing(`${field}:${digest(Buffer.from('x'))}\r\n`), 400, 'BadDigest', key);
    await requireRefused(await trailing(''), 400, 'MalformedTrailerError', key);
    const right = await trailing(`${field}:${digest(HELLO)}\r\n`);
    assert.equal(right.headers[field], digest(HELLO));
    const got = await get(key);
    assert.equal(got.body, 'hello');
    assert.equal(got.headers['content-encoding'], 'gzip');
  });
}

function unsignedChunks(field: string, trailer: string): Partial<RequestOptions> {
  return {
    payload: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
    headers: { 'x-amz-trailer': field, 'x-amz-decoded-content-length': '5', 'content-encoding': 'gzip,aws-chunked' },
    body: Buffer.from(`2\r\nhe\r\n3\r\nllo\r\n0\r\n${trailer}\r\n`),
  };
}

function signedChunks(sign: SignNext, chunks: readonly string[], trailer?: string): Buffer {
  const framed = [...chunks, ''].map((chunk) => {
    const line = `${chunk.length.toString(16)};chunk-signature=${sign('PAYLOAD', chunk)}\r\n`;
    return chunk === '' ? line : `${line}${chunk}\r\n`;
  });
  if (trailer) framed.push(`${trailer}\r\nx-amz-trailer-signature:${sign('TRAILER', `${trailer}\n`)}\r\n`);
  return Buffer.from(`${framed.join('')}\r\n`);
}

test('takes signed chunks, and refuses them when one is changed or missing', async () => {
  const send = (key: string, change: (body: string) => string) =>
    put(key, {
      payload: 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
      headers: { 'content-encoding': 'aws-chunked', 'x-amz-decoded-content-length': '10' },
      makeBody: (sign) => Buffer.from(change(signedChunks(sign, ['hello', 'world']).toString())),
    });
  assert.equal((await send('chunks', (body) => body)).status, 200);
  const got = await get('chunks');
  assert.equal(got.body, 'helloworld');
  assert.equal(got.headers['content-encoding'], undefined);
  const changed = await send('changed', (body) => body.replace('world', 'World'));
  await requireRefused(changed, 403, 'SignatureDoesNotMatch', 'changed');
  const short = await send('short', (body) => body.slice(0, body.indexOf('world') - 85));
  assert.equal(short.status, 400);
  await requireRefused(short, 400, 'IncompleteBody', 'short');
});

test('takes signed trailers, and refuses changed ones', async () => {
  const send = (key: string, change: (body: string) => string) =>
    put(key, {
      payload: 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER',
      headers: { 'x-amz-trailer': 'x-amz-checksum-crc32', 'x-amz-decoded-content-length': '5' },
      makeBody: (sign) =>
        Buffer.from(change(signedChunks(sign, ['hello'], 'x-amz-checksum-crc32:NhCmhg==').toString())),
    });
  assert.equal((await send('trailers', (body) => body)).headers['x-amz-checksum-crc32'], 'NhCmhg==');
  const changed = await send('changed-trailer', (body) => body.replace('NhCmhg==', 'AAAAAA=='));
  await requireRefused(changed, 403, 'SignatureDoesNotMatch', 'changed-trailer');
});

test('refuses chunks that are not as many bytes as announced', async () => {
  const options = unsignedChunks('x-amz-checksum-crc32', 'x-amz-checksum-crc32:NhCmhg==\r\n');
  const headers = { ...options.headers, 'x-amz-decoded-content-length': '6' };
  await requireRefused(await put('length', { ...options, headers }), 400, 'IncompleteBody', 'length');
});

test('serves presigned URLs until they expire, and nothing else with them', async () => {
  const path = pathOf('presigned%20%C3%A9');
  const upload = await send(presign(store, { method: 'PUT', path }), 'PUT', { 'content-type': 'text/plain' }, HELLO);
  assert.equal(upload.status, 200);
  const url = presign(store, {
    method: 'GET',
    path,
    query: { 'response-content-disposition': 'attachment; filename="a"' },
  });
  const got = await send(url, 'GET', { range: 'bytes=1-2' });
  assert.equal(got.status, 206);
  assert.equal(got.body, 'el');
  assert.equal(got.headers['content-type'], 'text/plain');
  assert.equal(got.headers['content-disposition'], 'attachment; filename="a"');

  assert.equal((await send(url, 'PUT', {}, HELLO)).status, 403);
  assert.equal((await send(url.replace('presigned', 'other'), 'GET')).status, 403);
  const copy = await send(presign(store, { method: 'PUT', path }), 'PUT', { 'x-amz-copy-source': pathOf('secret') });
  assert.match(copy.body, /<Code>AccessDenied<\/Code>/);
  const expired = presign(store, { method: 'GET', path, expiresS: 1, dateMs: Date.now() - 2_000 });
  const late = await send(expired, 'GET');
  assert.equal(late.status, 403);
  assert.match(late.body, /Request has expired/);
});

test('refuses a query that would break the headers of the answer', async () => {
  await put('injected');
  const query = { 'response-content-type': 'text/html\r\nset-cookie: a=b' };
  const reply = await send(presign(store, { method: 'GET', path: pathOf('injected'), query }), 'GET');
  assert.equal(reply.status, 400);
  assert.match(reply.body, /<Code>InvalidArgument<\/Code>/);
});

test('refuses what is unsigned, malformed or of another method', async () => {
  const unsigned = await send(`${store.url}${pathOf('x')}`, 'GET');
  assert.equal(unsigned.status, 403);
  assert.equal(unsigned.headers['content-type'], 'application/xml');
  assert.equal((await send(`${store.url}${pathOf('%ff')}`, 'GET')).status, 400);
  assert.equal((await request(store, { method: 'PATCH', path: pathOf('x') })).status, 405);
  const noList = await request(store, { method: 'GET', path: `/${store.bucket}` });
  assert.equal(noList.status, 405);
  const head = await request(store, { method: 'HEAD', path: pathOf('none') });
  assert.deepEqual([head.status, head.body], [404, '']);
});

test('tells the whole size with 416, and serves the whole when If-Range does not hold', async () => {
  const { headers } = await put('range');
  const outside = await get('range', { range: 'bytes=5-' });
  assert.equal(outside.status, 416);
  assert.equal(outside.headers['content-range'], 'bytes */5');
  const range = { range: 'bytes=0-1' };
  assert.equal((await get('range', { ...range, 'if-range': headers.etag! })).body, 'he');
  assert.equal((await get('range', { ...range, 'if-range': '"other"' })).body, 'hello');
});

test('keeps an answer whole while its object is replaced', async () => {
  const [old, fresh] = ['a', 'b'].map((letter) => Buffer.alloc(3_000_000, letter)) as [Buffer, Buffer];
  await put('replaced', { body: old });
  const reads = Array.from({ length: 10 }, () => get('replaced'));
  const write = put('replaced', { body: fresh });
  for (const { body, headers } of await Promise.all(reads)) {
    assert.equal(headers.etag, `"${createHash('md5').update(body).digest('hex')}"`);
    assert.equal(body.length, 3_000_000);
  }
  assert.equal((await write).status, 200);
  assert.equal((await get('replaced')).body, fresh.toString());
});

const noProc = process.platform !== 'linux' && 'needs /proc to see open files';

test('leaves no file open for clients that go away before their answer', { skip: noProc }, async () => {
  const warnings: Error[] = [];
  process.on('warning', (warning) => warnings.push(warning));
  await put('dropped');
  await put('dropped-empty', { body: Buffer.alloc(0) });
  for (const key of Array.from({ length: 10 }, () => ['dropped', 'dropped-empty']).flat()) {
    const url = new URL(presign(store, { method: 'GET', path: pathOf(key) }));
    const socket = net.connect(Number(url.port), url.hostname).resume();
    // What follows the request is none, so the server hangs up while it is still looking for the object.
    socket.write(`GET ${url.pathname}${url.search} HTTP/1.1\r\nhost: ${url.host}\r\n\r\nnonsense`);
    await within('the server to hang up', once(socket, 'close'));
  }
  const openFiles = () => readdirSync('/proc/self/fd').map(linkOf);
  const isOurs = (file: string) => file.includes(path.join('buckets', store.bucket));
  await until('all files to be closed', () => openFiles().filter(isOurs).length === 0);
  // The garbage collector closes what was forgotten, and says so.
  assert.deepEqual(warnings, []);
});

/** Where an open file is; listing the folder opens one that is gone by now. */
function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return '';
  }
}

test('closes without waiting for idle connections, and after the request under way', async () => {
  const closing = await startTestObjectStore();
  const agents = [new http.Agent({ keepAlive: true }), new http.Agent({ keepAlive: true })];
  const path = `/${closing.bucket}/late`;
  const idle = http.get(presign(closing, { method: 'GET', path }), { agent: agents[0] });
  const [refused] = (await once(idle, 'response')) as [http.IncomingMessage];
  await once(refused.resume(), 'end');

  const url = presign(closing, { method: 'PUT', path });
  const upload = http.request(url, {
    method: 'PUT',
    agent: agents[1],
    headers: { 'content-length': 10, expect: '100-continue' },
  });
  upload.flushHeaders();
  await once(upload, 'continue');
  const closed = closing.close();
  upload.end('0123456789');
  const [stored] = (await within('the upload to finish', once(upload, 'response'))) as [http.IncomingMessage];
  assert.equal(stored.statusCode, 200);
  stored.resume();
  await within('the store to close', closed, 4_000);
  for (const agent of agents) agent.destroy();
});

test('says in one line why it cannot start', async () => {
  const options = {
    accessKeyId: 'a',
    secretAccessKey: 'b',
    address: { host: '127.0.0.1', port: Number(new URL(store.url).port) },
    log: createLog('test', 'silent'),
  };
  const below = { ...options, dataDir: `${import.meta.filename}/below`, buckets: [] };
  await assert.rejects(startObjectStore(below), {
    name: 'StartupError',
    message: /^cannot keep objects in .*below: ENOTDIR/,
  });
  const dataDir = await mkdtemp(path.join(os.tmpdir(), 'foldforge-test-'));
  const named = { ...options, dataDir, buckets: ['Not A Bucket'] };
  await assert.rejects(startObjectStore(named), { name: 'StartupError', message: /The specified bucket is not valid/ });
  const taken = { ...options, dataDir, buckets: [] };
  await assert.rejects(startObjectStore(taken), { name: 'StartupError', message: /the port is in use/ });
  await rm(dataDir, { recursive: true });
});
