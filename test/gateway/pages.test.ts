import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { readPages } from '../../src/gateway/pages.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';

const FILES = {
  'docs/index.html': '<!doctype html><title>docs</title>',
  'docs/docs.css': 'p { color: red }',
  'console/index.html': '<!doctype html><title>console</title>',
  'console/assets/main-1.js': 'const a = 1;\n'.repeat(200),
  'console/licences.txt': 'MIT',
};

describe('the pages', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'foldforge test é-'));
  let gateway: TestGateway;
  let without: TestGateway;
  before(async () => {
    for (const [name, text] of Object.entries(FILES)) {
      const file = path.join(folder, 'pages', name);
      mkdirSync(path.dirname(file), { recursive: true });
      writeFileSync(file, text);
      if (name.endsWith('.js')) writeFileSync(`${file}.gz`, gzipSync(text));
    }
    const pages = readPages(pathToFileURL(`${folder}/pages/`));
    [gateway, without] = await Promise.all([
      startTestGateway({ CONSOLE_ENABLED: 'true' }, pages),
      startTestGateway({}, pages),
    ]);
  });
  after(async () => {
    await Promise.all([gateway?.close(), without?.close()]);
    rmSync(folder, { recursive: true });
  });

  const asNobody = (headers: Record<string, string> = {}) => ({ headers: { Authorization: '', ...headers } });
  const get = (target: string, headers: Record<string, string> = {}) => gateway.request(target, asNobody(headers));

  it('are served to anybody, with a strict policy', async () => {
    for (const [target, file, type] of [
      ['/docs', 'docs/index.html', 'text/html; charset=utf-8'],
      ['/docs/', 'docs/index.html', 'text/html; charset=utf-8'],
      ['/docs/docs.css', 'docs/docs.css', 'text/css; charset=utf-8'],
      ['/console', 'console/index.html', 'text/html; charset=utf-8'],
      ['/console/', 'console/index.html', 'text/html; charset=utf-8'],
      ['/console/assets/main-1.js', 'console/assets/main-1.js', 'text/javascript; charset=utf-8'],
      ['/console/licences.txt', 'console/licences.txt', 'text/plain; charset=utf-8'],
    ] as const) {
      const response = await get(target);
      assert.equal(response.status, 200, target);
      assert.equal(response.headers.get('content-type'), type);
      assert.equal(await response.text(), FILES[file]);
      const policy = response.headers.get('content-security-policy')!;
      assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self';/);
      assert.match(policy, /connect-src 'self';.*frame-ancestors 'none'/);
      assert.doesNotMatch(policy, /unsafe/);
      assert.equal(response.headers.get('x-content-type-options'), 'nosniff');
      assert.equal(response.headers.get('referrer-policy'), 'no-referrer');
    }
  });

  it('of the console are made by its start page, but its files are only those that there are', async () => {
    for (const target of [
      '/console/submit',
      '/console/workflows/some-id',
      '/console/workflows/wf.123',
      '/console/nothing/at/all',
    ]) {
      assert.equal(await (await get(target)).text(), FILES['console/index.html'], target);
    }
    for (const target of [
      '/console/assets/main-2.js',
      '/console/assets/',
      '/console/favicon.ico',
      '/console/..%2f..%2fpackage.json',
      '/console/../docs.css',
      '/docs/nothing',
      '/docs/..%2fconsole%2findex.html',
      '/docs/%00',
    ]) {
      assert.equal((await get(target)).status, 404, target);
    }
    assert.equal((await gateway.request('/console', { method: 'POST' })).status, 405);
  });

  it('are kept for ever when they are named after their content, and else asked for again', async () => {
    const file = await get('/console/assets/main-1.js');
    assert.equal(file.headers.get('cache-control'), 'public, max-age=31536000, immutable');
    for (const target of ['/console', '/docs', '/docs/docs.css']) {
      const { headers } = await get(target);
      assert.equal(headers.get('cache-control'), 'no-cache');
      const again = await get(target, { 'If-None-Match': headers.get('etag')! });
      assert.equal(again.status, 304, target);
      assert.equal(again.headers.get('etag'), headers.get('etag'));
      assert.equal(await again.text(), '');
      assert.equal((await get(target, { 'If-None-Match': '"other"' })).status, 200);
    }
  });

  it('are packed for those who can unpack them, under a tag of their own', async () => {
    const raw = async (headers: Record<string, string>) => {
      const response = await get('/console/assets/main-1.js', headers);
      return [response.headers.get('content-encoding'), response.headers.get('etag')] as const;
    };
    const [none, plainTag] = await raw({ 'Accept-Encoding': 'identity' });
    const [gzip, packedTag] = await raw({ 'Accept-Encoding': 'br;q=1.0, gzip;q=0.8' });
    assert.deepEqual([none, gzip], [null, 'gzip']);
    assert.notEqual(plainTag, packedTag);
    for (const refused of ['gzip;q=0', 'gzip;q=0, *', '*;q=0', 'gzip; q=0.000', 'br', 'xgzip', '']) {
      assert.equal((await raw({ 'Accept-Encoding': refused }))[0], null, refused);
    }
    for (const accepted of ['gzip', '*', 'GZIP', 'deflate,gzip', 'gzip;q=0.001', 'br , gzip ; q=0.5 , *;q=0']) {
      assert.equal((await raw({ 'Accept-Encoding': accepted }))[0], 'gzip', accepted);
    }
    const head = await gateway.request('/console/assets/main-1.js', {
      method: 'HEAD',
      ...asNobody({ 'Accept-Encoding': 'gzip' }),
    });
    assert.equal(Number(head.headers.get('content-length')), gzipSync(FILES['console/assets/main-1.js']).length);
    assert.equal(gunzipSync(gzipSync('x')).toString(), 'x');
  });

  it('are not there when the console is not enabled, or nothing was built', async () => {
    assert.equal((await without.request('/console', asNobody())).status, 404);
    assert.equal((await without.request('/console/assets/main-1.js', asNobody())).status, 404);
    assert.equal((await without.request('/docs', asNobody())).status, 200);
    assert.equal(readPages(pathToFileURL(`${folder}/elsewhere/`)), undefined);
  });

  it('may not be of a type that is not known', () => {
    writeFileSync(path.join(folder, 'pages/docs/odd.exe'), '');
    assert.throws(() => readPages(pathToFileURL(`${folder}/pages/`)), /odd\.exe has no media type/);
    rmSync(path.join(folder, 'pages/docs/odd.exe'));
  });
});
