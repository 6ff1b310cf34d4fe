import assert from 'node:assert/strict';
import { lstatSync, readlinkSync } from 'node:fs';
import { Writable } from 'node:stream';
import { describe, it } from 'node:test';
import { createLog } from '../../src/shared/log.ts';
import { nameTlsFiles } from '../../src/shared/tls-files.ts';
import { watchTlsFiles } from '../../src/shared/tls-watch.ts';
import { createKubernetesVolume } from '../support/kubernetes-volume.ts';
import { createSelfSigned } from '../support/self-signed.ts';
import { until } from '../support/waiting.ts';

const NAMES = { cert: 'CERT', key: 'KEY', ca: 'CA' } as const;

describe('files of TLS in a volume of Kubernetes', () => {
  it('are read again, all of them together, when ..data leads elsewhere', async (test) => {
    const volume = createKubernetesVolume();
    const [old, renewed, authority] = [createSelfSigned('a'), createSelfSigned('a', 100), createSelfSigned('b')];
    const files = ({ cert, key }: typeof old, ca: string) => ({ TLS_CERT: cert, TLS_KEY: key, CA: ca });
    volume.write(files(old, old.cert));
    const paths = { CERT: volume.path('TLS_CERT'), KEY: volume.path('TLS_KEY'), CA: volume.path('CA') };
    const inodes = () => Object.values(paths).map((file) => lstatSync(file).ino);
    const before = inodes();

    const lines: string[] = [];
    const destination = new Writable({
      write(chunk, _encoding, done) {
        lines.push(JSON.parse(String(chunk)).msg);
        done();
      },
    });
    const changes: unknown[] = [];
    const watch = watchTlsFiles(nameTlsFiles('', paths, NAMES)!, {
      log: createLog('test', 'info', destination),
      onChange: ({ cert, key, ca }) => changes.push({ cert, key, ca }),
      lookMs: 5,
    });
    test.after(() => {
      watch.close();
      volume.close();
    });
    const first = watch.secureContext();
    assert.equal(watch.current().cert, old.cert);

    volume.write(files(renewed, `${old.cert}${authority.cert}`));
    await until('what ..data leads to now', () => changes.length > 0);
    assert.deepEqual(changes, [{ cert: renewed.cert, key: renewed.key, ca: `${old.cert}${authority.cert}` }]);
    assert.notEqual(watch.secureContext(), first);

    volume.write(files(renewed, authority.cert));
    await until('the authority alone', () => changes.length > 1);
    assert.equal(watch.current().ca, authority.cert);
    assert.equal(changes.length, 2);
    assert.deepEqual(lines, [
      'a certificate ends soon',
      'certificates were read again',
      'certificates were read again',
    ]);
    // Nothing but ..data is another one: whoever watched these names would have seen nothing.
    assert.deepEqual(inodes(), before);
    assert.equal(readlinkSync(paths.CERT), '..data/TLS_CERT');
  });
});
