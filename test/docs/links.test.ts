import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

const ROOT = new URL('../../', import.meta.url);
const PAGES = [
  'README.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  'examples/browser/README.md',
  'examples/client-python/README.md',
  'examples/client-ts/README.md',
  'docs/architecture.md',
  'docs/configuration.md',
  'docs/operations.md',
];

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(page: string): string[] {
  const headings = page.match(/^#+ .*$/gm) ?? [];
  return headings.map((heading) =>
    heading
      .replace(/^#+ /, '')
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
}

describe('the links of the pages', () => {
  for (const page of PAGES) {
    it(`of ${page} lead somewhere`, () => {
      const text = readFileSync(new URL(page, ROOT), 'utf8');
      const targets = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target!);
      for (const target of targets.filter((candidate) => !candidate.startsWith('https://'))) {
        const file = new URL(target, new URL(page, ROOT));
        const anchor = file.hash.slice(1);
        file.hash = '';
        assert.ok(existsSync(file), target);
        if (anchor) assert.ok(anchorsOf(readFileSync(file, 'utf8')).includes(anchor), target);
      }
    });
  }
});
