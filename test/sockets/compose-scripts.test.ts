import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { readGatewayConfig } from '../../src/gateway/config.ts';
import { readOrchestratorConfig, requireBackends } from '../../src/orchestrator/config.ts';
import { findDebianProgram } from '../support/debian.ts';
import { startTestObjectStore, type TestObjectStore } from '../support/object-store.ts';

const DEPLOY = fileURLToPath(new URL('../../deploy/', import.meta.url));
const BOUND_MS = 30_000;
const run = promisify(execFile);
const curlProgram = await findDebianProgram('curl', 'curl');

interface Compose {
  readonly services: Readonly<Record<string, { readonly environment?: Readonly<Record<string, string>> }>>;
  readonly secrets: object;
}

describe('make-secrets.sh', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'foldforge-test-'));
  const secrets = path.join(folder, 'compose/secrets');
  const compose = parse(readFileSync(path.join(DEPLOY, 'compose.yaml'), 'utf8'), { merge: true }) as Compose;
  const make = () => run(path.join(folder, 'compose/make-secrets.sh'), { timeout: BOUND_MS });
  const readAll = () =>
    Object.fromEntries(readdirSync(secrets).map((name) => [name, readFileSync(path.join(secrets, name), 'utf8')]));

  before(async () => {
    cpSync(path.join(DEPLOY, 'compose/make-secrets.sh'), path.join(folder, 'compose/make-secrets.sh'));
    await make();
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('makes every secret that compose.yaml names, and says where they are', () => {
    assert.deepEqual(readdirSync(secrets).sort(), Object.keys(compose.secrets).sort());
    assert.equal(readFileSync(path.join(folder, '.env'), 'utf8'), 'FOLDFORGE_SECRETS=./compose/secrets\n');
  });

  it('closes their folder to others, and lets the users of the containers read the files', () => {
    assert.equal(statSync(secrets).mode & 0o777, 0o700);
    for (const name of readdirSync(secrets)) assert.equal(statSync(path.join(secrets, name)).mode & 0o777, 0o644, name);
  });

  it('makes such as both programs take', () => {
    const withFiles = (service: string) =>
      Object.fromEntries(
        Object.entries(compose.services[service]!.environment!).map(([name, value]) => [
          name,
          value.replace('/run/secrets', secrets),
        ]),
      );
    const { API_TOKEN, STREAM_TICKET_SECRETS } = readGatewayConfig(withFiles('gateway'));
    assert.match(API_TOKEN.join(), /^[0-9a-f]{48}$/);
    assert.match(STREAM_TICKET_SECRETS.join(), /^[0-9a-f]{64}$/);
    const orchestrator = readOrchestratorConfig(withFiles('orchestrator'));
    requireBackends(orchestrator);
    assert.equal(new URL(orchestrator.databaseUrl).password, readAll()['database-password']);
  });

  it('leaves what is there, and makes what is not', async () => {
    const { 'api-token': lost, ...others } = readAll();
    rmSync(path.join(secrets, 'api-token'));
    await make();
    const { 'api-token': made, ...same } = readAll();
    assert.deepEqual(same, others);
    assert.notEqual(made, lost);
    assert.equal(readFileSync(path.join(folder, '.env'), 'utf8'), 'FOLDFORGE_SECRETS=./compose/secrets\n');
  });
});

describe('make-bucket.sh', { skip: 'missing' in curlProgram && curlProgram.missing }, () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'foldforge-test-'));
  let store: TestObjectStore;

  before(async () => {
    store = await startTestObjectStore();
    mkdirSync(path.join(folder, 'good'));
    writeFileSync(path.join(folder, 'good/object-store-access-key-id'), store.accessKeyId);
    writeFileSync(path.join(folder, 'good/object-store-secret-access-key'), store.secretAccessKey);
    cpSync(path.join(folder, 'good'), path.join(folder, 'wrong'), { recursive: true });
    writeFileSync(path.join(folder, 'wrong/object-store-secret-access-key'), 'guessed');
  });
  after(async () => {
    await store?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const make = (bucket: string, secrets: string) => {
    const args = [`${store.url}/${bucket}`, 'us-east-1', path.join(folder, secrets)];
    return run('/bin/sh', [path.join(DEPLOY, 'compose/make-bucket.sh'), ...args], { timeout: BOUND_MS });
  };

  it('makes the bucket, and is content with one that is there', async () => {
    assert.equal((await make('designs', 'good')).stdout, `${store.url}/designs is there\n`);
    assert.equal((await make('designs', 'good')).stdout, `${store.url}/designs is there\n`);
  });

  it('says what the store said when it refuses', async () => {
    await assert.rejects(make('designs', 'wrong'), { code: 1, stderr: `${store.url}/designs answers 403\n` });
  });
});
