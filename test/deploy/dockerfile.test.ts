import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { readContext, readDockerfile } from '../support/dockerfile.ts';

const read = (name: string) => readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8');

describe('what is sent to the builder of the image', () => {
  const isSent = readContext(read('.dockerignore'));

  it('is what it is built of', () => {
    for (const file of [
      'package-lock.json',
      'src/bin/gateway.ts',
      'console/index.html',
      'examples/workflows/flaky.json',
    ]) {
      assert.equal(isSent(file), true, file);
    }
  });

  it('is nothing else: no history, packages, secrets or tests', () => {
    const others = ['.git/config', '.env', 'deploy/.env', 'node_modules/pino/package.json', 'test/memory.test.ts'];
    for (const file of [...others, 'examples/client-ts/node_modules/x', 'scripts/check-deploy/go.mod', 'dist/bin/x']) {
      assert.equal(isSent(file), false, file);
    }
  });

  it('is decided by the last pattern that matches', () => {
    const isKept = readContext('*.md\n!docs/*.md\ndocs/secret.md\n');
    const files = ['a.md', 'a.txt', 'docs/a.md', 'docs/secret.md'];
    assert.deepEqual(files.map(isKept), [false, true, true, false]);
  });
});

describe('the Dockerfile', () => {
  const stages = readDockerfile(read('Dockerfile'));

  it('has Node 24 in both stages, as the lock file does', () => {
    assert.deepEqual(
      stages.map(({ base }) => base),
      ['node:24-slim', 'node:24-slim'],
    );
  });

  it('runs nothing as root, and installs nothing where it runs', () => {
    const image = stages.at(-1)!;
    assert.equal(image.one('USER'), '1000:1000');
    assert.equal(
      image
        .all('RUN')
        .filter((command) => !command.startsWith('rm -rf '))
        .join(),
      '',
    );
    for (const value of image.all('COPY')) assert.doesNotMatch(value, /node_modules|package(-lock)?\.json/);
  });

  it('is read whole: what is not known is refused', () => {
    assert.throws(() => readDockerfile('FROM a\nADD https://example.org/x /\n'), /not known here: ADD/);
    const [stage] = readDockerfile('FROM a AS b\n# no\nRUN one \\\n  two\n');
    assert.deepEqual([stage!.name, stage!.one('RUN')], ['b', 'one    two']);
  });
});
