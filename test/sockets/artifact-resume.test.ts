import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { pathOf, recordFiles, sha256, storeSettings } from '../support/artifact-records.ts';
import { findDebianProgram } from '../support/debian.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { ADMIN, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { S3_SERVERS, type S3Server } from '../support/s3-servers.ts';
import { startTcpCable, type TcpCable } from '../support/tcp-cable.ts';
import { within } from '../support/waiting.ts';

const KEY = 'artifacts/trajectory.bin';
const FILE = randomBytes(8_000_000);
const CUT_BYTES = [1_000, 3_000_000, 2_500_000];
/** What curl says of a transfer that broke off: of a partial file, or while it received. */
const BROKEN_OFF = [18, 56];

const curl = await findDebianProgram('curl', 'curl');

describe('curl -C -', { skip: 'missing' in curl && curl.missing }, () => {
  let fake: FakeOrchestrator;
  let store: S3Server;
  let cable: TcpCable;
  let gateway: TestGateway;
  let folder: string;
  before(async () => {
    fake = await startFakeOrchestrator();
    store = await S3_SERVERS[0].start();
    const { port } = new URL(store.url);
    cable = await startTcpCable(() => [Number(port)]);
    const settings = storeSettings(`http://127.0.0.1:${cable.port}`);
    gateway = await startTestGateway({ ORCHESTRATOR_ENDPOINT: fake.endpoint, ...settings });
    folder = await mkdtemp(path.join(os.tmpdir(), 'foldforge-test-'));
  });
  after(async () => {
    await gateway.close();
    await cable.close();
    await store.close();
    await fake.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** One call of curl; answers with its exit code. */
  async function download(from: string, to: string): Promise<number> {
    assert.ok('file' in curl);
    const header = `Authorization: ${ADMIN.Authorization}`;
    const child = spawn(curl.file, ['-sS', '--fail', '-C', '-', '-H', header, '-o', to, from], { stdio: 'ignore' });
    const [exitCode] = (await within('curl exits', once(child, 'close'), 20_000).finally(() => child.kill())) as [
      number,
    ];
    return exitCode;
  }

  it('resumes a broken download to the right SHA-256', async () => {
    await store.put(KEY, FILE);
    const id = recordFiles(fake, [{ key: KEY, sizeBytes: FILE.length, sha256: sha256(FILE) }]);
    const target = path.join(folder, 'trajectory.bin');
    let length = 0;
    for (const afterBytes of CUT_BYTES) {
      cable.cutNext({ direction: 'down', afterBytes, how: 'reset' });
      assert.ok(
        BROKEN_OFF.includes(await download(gateway.url + pathOf(id, KEY), target)),
        'curl sees that it broke off',
      );
      const { size } = await stat(target);
      assert.ok(size >= length && size < FILE.length, `${size} bytes after ${length}`);
      length = size;
    }
    assert.ok(length > 0, 'there is something to resume');
    assert.equal(await download(gateway.url + pathOf(id, KEY), target), 0);
    assert.equal(sha256(await readFile(target)), sha256(FILE));
  });
});
