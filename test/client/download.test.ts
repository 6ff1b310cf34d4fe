import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { pathOfKey } from '../../src/client/api.ts';
import { chooseFiles, toFileName } from '../../src/client/artifact-files.ts';
import type { Artifact } from '../../src/client/contract.ts';
import {
  type Answer,
  artifact,
  inTurn,
  json,
  KEY,
  lost,
  pieces,
  refusal,
  runIn,
  type Sent,
  status,
  URL_OF_API,
  workflow,
} from './scene.ts';

const FILE = randomBytes(3_000);
const SHA256 = createHash('sha256').update(FILE).digest('hex');
const MODEL = artifact({ uri: 'r2://bucket/artifacts/a b#.pdb', size_bytes: FILE.length, sha256: SHA256 });

/** A gateway's answer to a request for FILE, that may break off. */
const serve =
  ({ upTo = FILE.length, bytes = FILE as Uint8Array } = {}): Answer =>
  ({ headers }) => {
    const isSame = headers.get('if-range') === `"${SHA256}"`;
    const from = isSame ? Number(/^bytes=(\d+)-$/.exec(headers.get('range') ?? '')![1]) : 0;
    const range = { 'Content-Range': `bytes ${from}-${FILE.length - 1}/${FILE.length}` };
    const body = pieces([bytes.subarray(from, Math.max(from, upTo))], { breaksOff: upTo < FILE.length });
    return new Response(body, { status: isSame ? 206 : 200, ...(isSame && { headers: range }) });
  };

const ranges = (sent: readonly Sent[]) =>
  sent.slice(1).map(({ headers }) => [headers.get('range'), headers.get('if-range')]);

describe('foldforge download', () => {
  const root = mkdtempSync(path.join(os.tmpdir(), 'foldforge-test-'));
  after(() => rmSync(root, { recursive: true, force: true }));
  const newFolder = () => mkdtempSync(path.join(root, 'out-'));
  const partOf = (folder: string) => path.join(folder, `fold-1.pdb.${SHA256.slice(0, 12)}.part`);
  const made = (outputs: readonly Artifact[]) =>
    json(workflow('SUCCEEDED', { step_statuses: [status('SUCCEEDED', 1, { outputs: [...outputs] })] }));
  const download = (folder: string, answers: readonly Answer[], ...args: string[]) =>
    runIn(['download', 'wf-1', '--output', folder, ...args], { answer: inTurn(made([MODEL]), ...answers) });

  it('leaves the file under the name of its step, checked', async () => {
    const folder = path.join(newFolder(), 'new', 'one');
    const { exitCode, stdout, sent } = await download(folder, [serve()]);
    const file = path.join(folder, 'fold-1.pdb');
    assert.deepEqual([exitCode, stdout], [0, `${file}  3000 bytes  sha256 ${SHA256}\n`]);
    assert.deepEqual(readFileSync(file), FILE);
    assert.deepEqual(readdirSync(folder), ['fold-1.pdb']);
    assert.equal(sent[1]!.path, '/v1/workflows/wf-1/artifacts/artifacts/a%20b%23.pdb');
    assert.equal(sent[1]!.headers.get('accept-encoding'), 'identity');
  });

  it('goes on where a connection was lost, in the same run', async () => {
    const folder = newFolder();
    const { exitCode, sent } = await download(folder, [
      serve({ upTo: 1_000 }),
      lost('ECONNREFUSED'),
      serve({ upTo: 2_500 }),
      serve(),
    ]);
    assert.equal(exitCode, 0);
    const etag = `"${SHA256}"`;
    const expected = [
      [null, null],
      ['bytes=1000-', etag],
      ['bytes=1000-', etag],
      ['bytes=2500-', etag],
    ];
    assert.deepEqual(ranges(sent), expected);
    assert.deepEqual(readFileSync(path.join(folder, 'fold-1.pdb')), FILE);
  });

  it('goes on where an earlier run was broken off', async () => {
    const folder = newFolder();
    const broken = await download(folder, [serve({ upTo: 1_000 }), refusal(404, 'NOT_FOUND')]);
    assert.deepEqual([broken.exitCode, readdirSync(folder)], [4, [path.basename(partOf(folder))]]);
    const { exitCode, stdout, sent } = await download(folder, [serve()], '--json');
    assert.deepEqual([exitCode, ranges(sent)], [0, [['bytes=1000-', `"${SHA256}"`]]]);
    const file = path.join(folder, 'fold-1.pdb');
    assert.deepEqual(JSON.parse(stdout), { files: [{ file, status: 'resumed', step_id: 'fold', ...MODEL }] });
    assert.deepEqual(readFileSync(file), FILE);
  });

  it('does not load again what is there, but what is there with other bytes', async () => {
    const folder = newFolder();
    const file = path.join(folder, 'fold-1.pdb');
    writeFileSync(file, FILE);
    const { exitCode, stdout } = await download(folder, []);
    assert.deepEqual([exitCode, stdout], [0, `${file}  3000 bytes  sha256 ${SHA256}  (present)\n`]);
    writeFileSync(file, FILE.toReversed());
    assert.equal((await download(folder, [serve()])).exitCode, 0);
    assert.deepEqual(readFileSync(file), FILE);
  });

  it('begins again when the server does not go on with the same file', async () => {
    const folder = newFolder();
    writeFileSync(partOf(folder), FILE.subarray(0, 1_000));
    const whole: Answer = () => new Response(pieces([FILE.subarray(0, 700), FILE.subarray(700)]));
    assert.equal((await download(folder, [whole])).exitCode, 0);
    assert.deepEqual(readFileSync(path.join(folder, 'fold-1.pdb')), FILE);
  });

  it('begins again, once, when what was there was wrong', async () => {
    for (const wrong of [randomBytes(1_000), randomBytes(3_000), randomBytes(4_000)]) {
      const folder = newFolder();
      writeFileSync(partOf(folder), wrong);
      const { exitCode } = await download(folder, wrong.length < 3_000 ? [serve(), serve()] : [serve()]);
      assert.equal(exitCode, 0);
      assert.deepEqual(readFileSync(path.join(folder, 'fold-1.pdb')), FILE);
    }
  });

  it('leaves nothing of a file with another SHA-256, or of one that is too long', async () => {
    const other = FILE.toReversed();
    for (const [bytes, sentence] of [
      [other, /has the SHA-256 [0-9a-f]{64}, not /],
      [Buffer.concat([FILE, FILE]), /is longer than the recorded 3000 bytes/],
    ] as const) {
      const folder = newFolder();
      const answer: Answer = () => new Response(pieces([bytes]));
      const { exitCode, stdout, stderr } = await download(folder, [answer]);
      assert.deepEqual([exitCode, stdout], [65, '']);
      assert.match(stderr, sentence);
      assert.ok(!readdirSync(folder).includes('fold-1.pdb'));
    }
  });

  it('says that a file without a SHA-256 cannot be checked', async () => {
    const answer = inTurn(made([artifact({ size_bytes: 5 })]));
    const { exitCode, stderr } = await runIn(['download', 'wf-1', '--output', newFolder()], { answer });
    assert.equal(exitCode, 65);
    assert.match(stderr, /has no recorded SHA-256, so what comes could not be checked\n$/);
  });

  it('follows the link to the object store, without the key', async () => {
    const folder = newFolder();
    const link = 'https://store.test/bucket/x?X-Amz-Signature=abc';
    const redirect: Answer = () => new Response(null, { status: 302, headers: { Location: link } });
    const { exitCode, sent } = await download(folder, [redirect, () => new Response(pieces([FILE]))]);
    assert.equal(exitCode, 0);
    assert.equal(sent[2]!.url, link);
    assert.equal(sent[1]!.headers.get('authorization'), `Bearer ${KEY}`);
    assert.equal(sent[2]!.headers.get('authorization'), null);
    assert.deepEqual(readFileSync(path.join(folder, 'fold-1.pdb')), FILE);
  });

  it('makes an empty file', async () => {
    const folder = newFolder();
    const empty = artifact({ sha256: createHash('sha256').digest('hex') });
    const answer = inTurn(made([empty]), () => new Response(pieces([])));
    assert.equal((await runIn(['download', 'wf-1', '--output', folder], { answer })).exitCode, 0);
    assert.equal(statSync(path.join(folder, 'fold-1.pdb')).size, 0);
  });

  it('writes through no link', async () => {
    const folder = newFolder();
    const outside = path.join(newFolder(), 'precious');
    writeFileSync(outside, 'as it was');
    symlinkSync(outside, partOf(folder));
    const { exitCode, stderr } = await download(folder, []);
    assert.equal(exitCode, 74);
    assert.match(stderr, /is in the way: it is not a regular file/);
    rmSync(partOf(folder));
    symlinkSync(outside, path.join(folder, 'fold-1.pdb'));
    assert.equal((await download(folder, [serve()])).exitCode, 0);
    assert.equal(readFileSync(outside, 'utf8'), 'as it was');
    assert.deepEqual(readFileSync(path.join(folder, 'fold-1.pdb')), FILE);
  });

  it('says what it cannot write', async () => {
    const folder = newFolder();
    mkdirSync(path.join(folder, 'fold-1.pdb', 'x'), { recursive: true });
    const { exitCode, stderr } = await download(folder, [serve()]);
    assert.equal(exitCode, 74);
    assert.match(stderr, /^foldforge: .*(?:EISDIR|ENOTEMPTY|EEXIST)/);
  });
});

describe('the names of downloaded files', () => {
  const outputs = (...uris: string[]) =>
    uris.map((uri, index) => artifact({ uri, sha256: String(index).padStart(64, '0') }));
  const namesOf = (steps: Readonly<Record<string, string[]>>) => {
    const step_statuses = Object.entries(steps).map(([step_id, uris]) =>
      status('SUCCEEDED', 1, { step_id, outputs: outputs(...uris) }),
    );
    return chooseFiles(workflow('SUCCEEDED', { step_statuses }), { stepIds: [], sha256s: [] }).map(({ name }) => name);
  };

  it('are the steps and the endings', () => {
    assert.deepEqual(namesOf({ a: ['r2://b/x.pdb', 'r2://b/y.tar.gz', 'r2://b/none'], 'b.c': ['r2://b/x.cif'] }), [
      'a-1.pdb',
      'a-2.gz',
      'a-3',
      'b.c-1.cif',
    ]);
  });

  it('stay in the folder, whatever the server says', () => {
    const hostile = {
      '../../etc/passwd': ['r2://b/../../../x.pdb/../../y'],
      '/root/.ssh/authorized_keys': ['r2://b/x.p/../db'],
      '..': ['r2://b/x..'],
      'C:\\x\u0000\n': ['r2://b/x.\u202eexe'],
      '': ['r2://b/x'],
    };
    for (const name of namesOf(hostile)) {
      assert.match(name, /^[A-Za-z0-9_-][A-Za-z0-9_.-]*$/);
      assert.equal(path.dirname(path.resolve('/folder', name)), '/folder');
    }
    assert.equal(toFileName('..'), '_');
    assert.equal(toFileName('a/../b'), 'a_.._b');
  });

  it('are different also where capitals make no difference', () => {
    const names = namesOf({ Fold: ['r2://b/x.pdb'], fold: ['r2://b/x.PDB'], 'fold/': ['r2://b/x.pdb'] });
    assert.equal(new Set(names.map((name) => name.toLowerCase())).size, 3);
  });

  it('have keys that are paths of the artifact and of nothing else', () => {
    assert.equal(pathOfKey('r2://bucket/a/b c?#%2e.pdb'), 'a/b%20c%3F%23%252e.pdb');
    for (const uri of ['r2://bucket/../x', 'r2://bucket/a/./x', 'r2://bucket//x', 'r2://bucket/', 'https://x/y', '']) {
      assert.throws(() => pathOfKey(uri), /is not the URI of an artifact/, uri);
    }
    assert.equal(new URL(`${URL_OF_API}/${pathOfKey('r2://b/%2e%2e/x')}`).pathname, '/base/%252e%252e/x');
  });
});

describe('the choice of files', () => {
  const made = workflow('SUCCEEDED', {
    steps: ['a', 'b'].map((id) => ({ id, tool: 'af2', depends_on: [], params: {} })),
    step_statuses: ['a', 'b'].map((step_id, index) =>
      status('SUCCEEDED', 1, {
        step_id,
        outputs: [
          artifact({ sha256: `aaaaaaaa${index}`.padEnd(64, '0') }),
          artifact({ sha256: `bbbbbbbb${index}`.padEnd(64, '0') }),
        ],
      }),
    ),
  });
  const choose = (stepIds: string[], sha256s: string[]) =>
    chooseFiles(made, { stepIds, sha256s }).map(({ name }) => name);

  it('is all, those of steps, or single ones', () => {
    assert.deepEqual(choose([], []), ['a-1.pdb', 'a-2.pdb', 'b-1.pdb', 'b-2.pdb']);
    assert.deepEqual(choose(['b'], []), ['b-1.pdb', 'b-2.pdb']);
    assert.deepEqual(choose([], ['aaaaaaaa1', 'bbbbbbbb0']), ['a-2.pdb', 'b-1.pdb']);
  });

  it('says what it does not find', () => {
    assert.throws(() => choose(['c'], []), { message: 'the workflow has no step c', exitCode: 64 });
    assert.throws(() => choose([], ['cccccccc']), { message: 'no file has the SHA-256 cccccccc…', exitCode: 64 });
    assert.throws(() => choose([], ['aaaaaaaa']), {
      message: 'more than one file has the SHA-256 aaaaaaaa…',
      exitCode: 64,
    });
  });
});
