import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { presign, type Reply, type RequestOptions, request } from '../embedded/signed-request.ts';
import { until, within } from '../support/waiting.ts';

const PROGRAM = path.join(import.meta.dirname, '../embedded/object-store-process.ts');
const children: ChildProcess[] = [];
let folder: string;

before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'foldforge-test-'));
});
after(async () => {
  for (const child of children) await kill(child);
  await rm(folder, { recursive: true, force: true });
});

interface Running {
  child: ChildProcess;
  call(options: RequestOptions): Promise<Reply>;
  access: { url: string; accessKeyId: string; secretAccessKey: string };
}

async function startStore(name: string): Promise<Running> {
  const child = spawn(process.execPath, [PROGRAM, path.join(folder, name)], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  const [line] = await within('the store to start', once(child.stdout!, 'data'));
  const access = { url: String(line).trim(), accessKeyId: 'test-key', secretAccessKey: 'test-secret' };
  return { child, access, call: (options) => request(access, options) };
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await within('the store to die', exited);
}

const put = (key: string, body: Uint8Array): RequestOptions => ({ method: 'PUT', path: `/test-bucket/${key}`, body });
const get = (key: string): RequestOptions => ({ method: 'GET', path: `/test-bucket/${key}` });

test('never shows a mixture, however often it is killed while objects are replaced', async () => {
  const keys = ['a', 'b', 'c', 'd'];
  const sent = new Set<string>();
  let answered = 0;
  for (let round = 0; round < 4; round += 1) {
    const { child, call } = await startStore('killed');
    const write = async (key: string) => {
      for (;;) {
        const body = randomBytes(randomInt(1, 300_000));
        sent.add(createHash('md5').update(body).digest('hex'));
        const reply = await call(put(key, body)).catch(() => undefined);
        if (reply?.status !== 200) return;
        answered += 1;
      }
    };
    const before = answered;
    const writers = [...keys, ...keys].map(write);
    await until('some writes to succeed', () => answered > before + 10 + randomInt(10));
    await kill(child);
    await Promise.all(writers);
  }
  const { child, call } = await startStore('killed');
  for (const key of keys) {
    const { status, headers, bytes } = await call(get(key));
    assert.equal(status, 200);
    const digest = createHash('md5').update(bytes).digest('hex');
    assert.equal(headers.etag, `"${digest}"`);
    assert.ok(sent.has(digest), `${key} is one of those that were sent`);
  }
  assert.deepEqual(await readdir(path.join(folder, 'killed', 'temporary')), []);
  assert.equal((await readdir(path.join(folder, 'killed', 'buckets', 'test-bucket'))).length, keys.length);
  await kill(child);
});

test('goes on with objects and unfinished uploads after a restart', async () => {
  const first = await startStore('restarted');
  await first.call(put('kept', Buffer.from('kept')));
  const begun = await first.call({ method: 'POST', path: '/test-bucket/parts', query: { uploads: '' } });
  const uploadId = /<UploadId>(.*)<\/UploadId>/.exec(begun.body)![1]!;
  const part = await first.call({ ...put('parts', Buffer.from('part')), query: { partNumber: '1', uploadId } });
  await writeFile(path.join(folder, 'restarted', 'temporary', 'left-over'), 'half');
  await kill(first.child);

  const second = await startStore('restarted');
  assert.equal((await second.call(get('kept'))).body, 'kept');
  assert.deepEqual(await readdir(path.join(folder, 'restarted', 'temporary')), []);
  const list = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${part.headers.etag}</ETag></Part></CompleteMultipartUpload>`;
  const query = { uploadId };
  const done = await second.call({ method: 'POST', path: '/test-bucket/parts', query, body: Buffer.from(list) });
  assert.equal(done.status, 200);
  assert.equal((await second.call(get('parts'))).body, 'part');
  assert.deepEqual(await readdir(path.join(folder, 'restarted', 'uploads')), []);
  await kill(second.child);
});

test('keeps nothing of an upload whose client goes away', async () => {
  const { child, access, call } = await startStore('abandoned');
  const url = presign(access, { method: 'PUT', path: '/test-bucket/half' });
  const upload = http.request(url, { method: 'PUT', headers: { 'content-length': 1_000_000 } });
  const failed = once(upload, 'error');
  upload.write(Buffer.alloc(500_000));
  const temporary = path.join(folder, 'abandoned', 'temporary');
  await until('the upload to begin', async () => (await readdir(temporary)).length === 1);
  upload.destroy(new Error('gone'));
  await failed;
  await until('the upload to be dropped', async () => (await readdir(temporary)).length === 0);
  assert.equal((await call(get('half'))).status, 404);
  await kill(child);
});

const noProc = process.platform !== 'linux' && 'needs /proc to see the memory of a process';

test('needs no more memory for 200 MB than for a small object', { skip: noProc }, async () => {
  const { child, access } = await startStore('large');
  const peakBytes = async () => {
    const status = await readFile(`/proc/${child.pid}/status`, 'utf8');
    return Number(/VmHWM:\s+(\d+) kB/.exec(status)![1]) * 1024;
  };
  const before = await peakBytes();
  const piece = Buffer.alloc(1_000_000, 'x');
  const upload = http.request(presign(access, { method: 'PUT', path: '/test-bucket/large' }), {
    method: 'PUT',
    headers: { 'content-length': 200 * piece.length },
  });
  const answered = once(upload, 'response');
  for (let count = 0; count < 200; count += 1) if (!upload.write(piece)) await once(upload, 'drain');
  upload.end();
  const [stored] = (await within('the upload', answered, 10_000)) as [http.IncomingMessage];
  stored.resume();
  assert.equal(stored.statusCode, 200);
  let read = 0;
  const download = http.get(presign(access, { method: 'GET', path: '/test-bucket/large' }));
  const [response] = (await within('the download', once(download, 'response'))) as [http.IncomingMessage];
  for await (const bytes of response) read += bytes.length;
  assert.equal(read, 200 * piece.length);
  const grown = (await peakBytes()) - before;
  assert.ok(grown < 80_000_000, `it grew by ${grown} bytes`);
  await kill(child);
});
