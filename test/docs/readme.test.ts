import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import packageJson from '../../package.json' with { type: 'json' };
import { listOperations, readContract } from '../../src/gateway/contract.ts';

const ROOT = new URL('../../', import.meta.url);
const README = readFileSync(new URL('README.md', ROOT), 'utf8');

const unique = (texts: readonly string[]) => [...new Set(texts)].sort();

describe('README.md', () => {
  it('has its sections in order', () => {
    assert.deepEqual(README.match(/^## .*$/gm), [
      '## What it is',
      '## Run it in a minute',
      '## Submit and watch',
      '## The API',
      '## Configuration',
      '## Production',
      '## Development',
      '## Layout',
      '## Licence',
    ]);
  });

  it('lists every route of the contract once, and no other', () => {
    const listed = [...README.matchAll(/^\| `([A-Z]+ \/\S*)` +\|/gm)].map(([, route]) => route!);
    const contract = readContract(new URL('openapi.yaml', ROOT));
    const promised = listOperations(contract.document()).map(({ method, path }) => `${method} ${path}`);
    assert.deepEqual(listed.toSorted(), promised.toSorted());
  });

  it('names only files that exist', () => {
    const linked = [...README.matchAll(/\]\(([^)]+)\)/g)].map(([, target]) => target!);
    const inFolders = README.match(/\b(?:docs|examples|proto|scripts|src|test)\/[\w./-]*/g) ?? [];
    const inLayout = [...README.matchAll(/^\| `([\w./-]+)` +\|/gm)].map(([, file]) => file!);
    const named = unique([...linked, ...inFolders, ...inLayout]);
    assert.ok(named.includes('docs/operations.md') && named.includes('examples/workflows/flaky.json'));
    assert.deepEqual(
      named.filter((file) => !existsSync(new URL(file, ROOT))),
      [],
    );
  });

  it('names only scripts that package.json has', () => {
    const scripts = [...README.matchAll(/\bnpm (?:run (?:-s )?([\w:]+)|(start|test))/g)].map(
      ([, run, own]) => run ?? own!,
    );
    assert.ok(scripts.includes('demo') && scripts.includes('start'));
    assert.deepEqual(
      unique(scripts).filter((script) => !Object.hasOwn(packageJson.scripts, script)),
      [],
    );
  });
});
