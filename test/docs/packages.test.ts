import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

interface Manifest {
  readonly dependencies?: object;
  readonly devDependencies?: object;
  readonly optionalDependencies?: object;
  readonly workspaces?: readonly string[];
}

const read = (name: string) => readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8');
const root: Manifest = JSON.parse(read('package.json'));
const manifests = [root, ...root.workspaces!.map((folder): Manifest => JSON.parse(read(`${folder}/package.json`)))];

const namesIn = (...groups: (object | undefined)[]) => groups.flatMap((group) => Object.keys(group ?? {}));
const shipped = new Set(manifests.flatMap((manifest) => namesIn(manifest.dependencies, manifest.optionalDependencies)));
const used = new Set([...shipped, ...manifests.flatMap((manifest) => namesIn(manifest.devDependencies))]);

/** `name` stands for itself, and `scope/*` or `name-*` for all that begin so. */
const namedBy = (word: string) =>
  [...used].filter((name) => (word.endsWith('*') ? name.startsWith(word.slice(0, -1)) : name === word));

describe('the packages in docs/architecture.md', () => {
  const [, section = ''] = /^### Packages\n(.*?)^From other registries/ms.exec(read('docs/architecture.md')) ?? [];
  const [given = '', ...rows] = section.split(/^(?=\|)/m);
  const reasons = rows.slice(2).map((row) => {
    const [, names = '', reason = ''] = row.split('|');
    return { words: wordsIn(names), isForDevelopment: names.includes('(dev)'), reason: reason.trim() };
  });

  it('are those of package.json, all of them and no others', () => {
    const words = [...wordsIn(given), ...reasons.flatMap((row) => row.words)];
    for (const word of words) assert.ok(namedBy(word).length > 0, `${word} is in no package.json`);
    const named = new Set(words.flatMap(namedBy));
    assert.deepEqual(
      [...used].filter((name) => !named.has(name)),
      [],
    );
  });

  it('have a reason each, and are for development only where they are', () => {
    assert.ok(reasons.length > 10);
    for (const { words, isForDevelopment, reason } of reasons) {
      assert.ok(reason.length > 10, words.join());
      for (const name of words.flatMap(namedBy)) assert.equal(!shipped.has(name), isForDevelopment, name);
    }
  });
});

function wordsIn(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, word]) => word!).filter((word) => !word.endsWith('.yaml'));
}
