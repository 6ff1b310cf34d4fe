import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { renameSync, symlinkSync, unlinkSync } from 'node:fs';
import { Writable } from 'node:stream';
import { after, describe, it } from 'node:test';
import { GATEWAY_PREFIX, readGatewayConfig } from '../../src/gateway/config.ts';
import { checkTlsFiles, ORCHESTRATOR_PREFIX, readOrchestratorConfig } from '../../src/orchestrator/config.ts';
import { createLog } from '../../src/shared/log.ts';
import { EX_CONFIG, StartupError } from '../../src/shared/startup-error.ts';
import { nameTlsFiles, readTlsFiles } from '../../src/shared/tls-files.ts';
import { watchTlsFiles } from '../../src/shared/tls-watch.ts';
import { createSelfSigned } from '../support/self-signed.ts';
import { createTlsFolder } from '../support/tls-folder.ts';
import { until } from '../support/waiting.ts';

const folder = createTlsFolder();
after(folder.close);
const own = createSelfSigned('localhost');
const other = createSelfSigned('localhost', 100);
const encrypted = generateKeyPairSync('ec', {
  namedCurve: 'P-256',
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' },
}).privateKey;
const files = {
  cert: folder.write('cert.pem', own.cert),
  key: folder.write('key.pem', own.key),
  otherKey: folder.write('other-key.pem', other.key),
  encrypted: folder.write('encrypted.pem', encrypted),
  ca: folder.write('ca.pem', `# two of them\n${own.cert}\n${other.cert}`),
  damaged: folder.write('damaged.pem', own.cert.replace(/\n[^-]{30}/, '\n')),
  empty: folder.write('empty.pem', ''),
  missing: folder.path('missing.pem'),
};

function refusalOf(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    assert.ok(error instanceof StartupError, String(error));
    assert.equal(error.exitCode, EX_CONFIG);
    return error.message;
  }
  return assert.fail('it was taken');
}

const withPrefix = (prefix: string, settings: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(settings).map(([name, value]) => [prefix + name, value]));
const gateway = (settings: Readonly<Record<string, string>>) =>
  readGatewayConfig(withPrefix(GATEWAY_PREFIX, { BIND_ADDR: '127.0.0.1:0', ...settings }));
const orchestrator = (settings: Readonly<Record<string, string>>) =>
  checkTlsFiles(readOrchestratorConfig(withPrefix(ORCHESTRATOR_PREFIX, settings)));

describe('the files of TLS', () => {
  for (const [settings, message] of [
    [{ TLS_CERT_FILE: files.cert }, /TLS_CERT_FILE is set, so FOLDFORGE_GATEWAY__TLS_KEY_FILE must be set too/],
    [{ TLS_KEY_FILE: files.key }, /TLS_KEY_FILE is set, so FOLDFORGE_GATEWAY__TLS_CERT_FILE must be set too/],
    [{ TLS_CERT_FILE: files.missing, TLS_KEY_FILE: files.key }, /__TLS_CERT_FILE .* cannot be read \(ENOENT\)/],
    [{ TLS_CERT_FILE: files.cert, TLS_KEY_FILE: folder.path('') }, /__TLS_KEY_FILE .* cannot be read \(EISDIR\)/],
    [{ TLS_CERT_FILE: files.empty, TLS_KEY_FILE: files.key }, /TLS_CERT_FILE .* without a certificate in PEM/],
    [{ TLS_CERT_FILE: files.damaged, TLS_KEY_FILE: files.key }, /TLS_CERT_FILE .* certificate 1 is damaged/],
    [{ TLS_CERT_FILE: files.cert, TLS_KEY_FILE: files.cert }, /TLS_KEY_FILE .* is no private key in PEM/],
    [{ TLS_CERT_FILE: files.cert, TLS_KEY_FILE: files.encrypted }, /TLS_KEY_FILE .* is encrypted/],
    [{ TLS_CERT_FILE: files.cert, TLS_KEY_FILE: files.otherKey }, /__TLS_KEY_FILE is not the key of .*TLS_CERT_FILE/],
    [{ ORCHESTRATOR_CA_FILE: files.ca }, /ORCHESTRATOR_CA_FILE is set, but .*ORCHESTRATOR_ENDPOINT is not https/],
    [
      { ORCHESTRATOR_CERT_FILE: files.cert, ORCHESTRATOR_KEY_FILE: files.key },
      /ORCHESTRATOR_CERT_FILE is set, but .*ORCHESTRATOR_ENDPOINT is not https/,
    ],
    [
      { ORCHESTRATOR_ENDPOINT: 'https://a:1,https://b:1', ORCHESTRATOR_CA_FILE: files.key },
      /ORCHESTRATOR_CA_FILE .* without a certificate/,
    ],
    [
      { ORCHESTRATOR_ENDPOINT: 'https://a:1', ORCHESTRATOR_CERT_FILE: files.cert },
      /ORCHESTRATOR_CERT_FILE is set, so FOLDFORGE_GATEWAY__ORCHESTRATOR_KEY_FILE must be set too/,
    ],
  ] as const) {
    it(`are refused by the gateway: ${message.source}`, () =>
      assert.match(
        refusalOf(() => gateway(settings)),
        message,
      ));
  }

  for (const [settings, message] of [
    [{ TLS_CLIENT_CA_FILE: files.ca }, /TLS_CLIENT_CA_FILE is set, so FOLDFORGE_ORCH__TLS_CERT_FILE must be set too/],
    [{ TLS_CERT_FILE: files.cert, TLS_KEY_FILE: files.otherKey }, /TLS_KEY_FILE is not the key/],
    [{ SIDECAR_CA_FILE: files.ca }, /SIDECAR_CA_FILE is set, but no sidecar is https/],
    [{ SIDECAR_CA_FILE: files.missing, SIDECAR_AF2: 'https://a:1' }, /SIDECAR_CA_FILE .* cannot be read/],
  ] as const) {
    it(`are refused by the orchestrator: ${message.source}`, () =>
      assert.match(
        refusalOf(() => orchestrator(settings)),
        message,
      ));
  }

  it('are taken when they are good', () => {
    const pair = { TLS_CERT_FILE: files.cert, TLS_KEY_FILE: files.key };
    gateway({ ...pair, ORCHESTRATOR_ENDPOINT: 'https://a:1', ORCHESTRATOR_CA_FILE: files.ca });
    orchestrator({ ...pair, TLS_CLIENT_CA_FILE: files.ca });
  });

  it('never show a key in a refusal', () => {
    const message = refusalOf(() => gateway({ TLS_CERT_FILE: files.key, TLS_KEY_FILE: files.key }));
    for (const line of own.key.split('\n').filter((text) => text.length > 20)) assert.ok(!message.includes(line));
  });
});

describe('watched files of TLS', () => {
  const NAMES = { cert: 'CERT', key: 'KEY' } as const;

  function watch(paths: Readonly<Record<'CERT' | 'KEY', string>>) {
    const lines: { level: string; msg: string }[] = [];
    const destination = new Writable({
      write(chunk, _encoding, done) {
        lines.push(JSON.parse(String(chunk)));
        done();
      },
    });
    const watched = watchTlsFiles(nameTlsFiles('', paths, NAMES)!, {
      log: createLog('test', 'info', destination),
      lookMs: 5,
    });
    return {
      ...watched,
      logged: (level: string) => lines.filter((line) => line.level === level).map(({ msg }) => msg),
    };
  }

  it('are read again when the folder behind a link is another one', async () => {
    const swap = (folderName: string, pair: typeof own) => {
      folder.write(`${folderName}.crt`, pair.cert);
      folder.write(`${folderName}.key`, pair.key);
      for (const end of ['crt', 'key']) {
        symlinkSync(folder.path(`${folderName}.${end}`), folder.path(`next.${end}`));
        renameSync(folder.path(`next.${end}`), folder.path(`tls.${end}`));
      }
    };
    swap('first', own);
    const watched = watch({ CERT: folder.path('tls.crt'), KEY: folder.path('tls.key') });
    const first = watched.secureContext();
    assert.equal(watched.current().expiresAtMs! - Date.now() < 2 * 86_400_000, true);
    assert.deepEqual(watched.logged('warn'), ['a certificate ends soon']);
    swap('second', other);
    await until('the new ones', () => watched.current().cert === other.cert);
    assert.notEqual(watched.secureContext(), first);
    assert.equal(watched.current().expiresAtMs! - Date.now() > 99 * 86_400_000, true);
    assert.deepEqual(watched.logged('warn'), ['a certificate ends soon']);
    assert.deepEqual(watched.logged('error'), []);
    watched.close();
  });

  it('that are broken are told once, and the old ones stay', async () => {
    const paths = { CERT: folder.write('b.crt', own.cert), KEY: folder.write('b.key', own.key) };
    const watched = watch(paths);
    folder.write('b.key', other.key);
    await until('it is told', () => watched.logged('error').length > 0);
    unlinkSync(paths.KEY);
    await until('what else is wrong is told', () => watched.logged('error').length > 1);
    const toldAt = performance.now();
    await until('several looks', () => performance.now() - toldAt > 50);
    assert.equal(watched.logged('error').length, 2);
    assert.equal(watched.current().cert, own.cert);
    folder.write('b.key', other.key);
    folder.write('b.crt', other.cert);
    await until('the good ones', () => watched.current().cert === other.cert);
    assert.equal(readTlsFiles(nameTlsFiles('', paths, NAMES)!).cert, other.cert);
    watched.close();
  });
});
