import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { createSbom, type Lock } from '../../scripts/sbom.ts';

interface Component {
  readonly type: string;
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly licenses?: readonly object[];
  readonly hashes?: readonly { readonly content: string }[];
}

const read = (name: string) => readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8');
const lock: Lock = JSON.parse(read('package-lock.json'));
const sbom = createSbom(lock, read('Dockerfile'));

/** What the lock file has for the programs, as package URLs, each once. */
function listProduction(): string[] {
  const entries = Object.entries(lock.packages).filter(
    ([place, { dev, link }]) => /node_modules\//.test(place) && !dev && !link,
  );
  const purls = entries.map(([place, { name, version }]) => {
    const installed = name ?? place.replace(/^.*node_modules\//, '');
    return `pkg:npm/${installed.replace('@', '%40')}@${version}`;
  });
  return [...new Set(purls)].sort();
}

describe('the bill of materials', () => {
  it('is CycloneDX, with a name, a version, a package URL and a licence for each part', () => {
    assert.deepEqual([sbom.bomFormat, sbom.specVersion, sbom.version], ['CycloneDX', '1.6', 1]);
    assert.match(sbom.serialNumber, /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.equal(sbom.metadata.component.name, 'foldforge-gateway');
    for (const component of [sbom.metadata.component, ...sbom.components] as readonly Component[]) {
      assert.match(component.type, /^(application|library|platform|container)$/);
      assert.match(component.version, /^\d/, component.name);
      assert.match(component.purl, /^pkg:(npm|generic|docker)\/(%40[\w.-]+\/)?[\w.-]+@\d[\w.+-]*$/);
      if (component.type !== 'container') assert.equal(component.licenses?.length, 1, component.name);
      for (const { content } of component.hashes ?? []) assert.match(content, /^[0-9a-f]{128}$/, component.name);
    }
  });

  it('has each package of a production install once, and of the others only what is in the pages', () => {
    const purls = sbom.components.filter(({ type }) => type === 'library').map(({ purl }) => purl);
    const production = listProduction();
    assert.ok(production.length > 100);
    const inPages = purls.filter((purl) => !production.includes(purl)).map((purl) => purl.replace(/@[^@]*$/, ''));
    assert.deepEqual(
      purls.filter((purl) => production.includes(purl)),
      production,
    );
    const pages = ['3dmol', 'iobuffer', 'netcdfjs', 'pako', 'pako', 'preact', 'swagger-ui-dist', 'upng-js'];
    assert.deepEqual(
      inPages,
      pages.map((name) => `pkg:npm/${name}`),
    );
  });

  it('has the runtime and the image below it', () => {
    const others = sbom.components.filter(({ type }) => type !== 'library').map(({ type, name }) => [type, name]);
    assert.deepEqual(others, [
      ['platform', 'node'],
      ['container', 'node'],
    ]);
  });

  it('says what needs what, so that everything is there for a reason', () => {
    const needs = new Map(sbom.dependencies.map(({ ref, dependsOn }) => [ref, dependsOn]));
    const refs = sbom.components.map((component) => component['bom-ref']);
    assert.equal(new Set(refs).size, refs.length);
    assert.deepEqual([...needs.keys()].sort(), [sbom.metadata.component['bom-ref'], ...refs].sort());
    const reached = new Set<string>();
    const reach = (ref: string) => {
      if (reached.has(ref)) return;
      reached.add(ref);
      for (const next of needs.get(ref)!) reach(next);
    };
    reach(sbom.metadata.component['bom-ref']);
    assert.deepEqual(
      refs.filter((ref) => !reached.has(ref)),
      [],
    );
  });

  it('is the same for the same files, another one for others, and none without a licence', () => {
    assert.deepEqual(createSbom(lock, read('Dockerfile')), sbom);
    const place = 'node_modules/pino';
    const changed = (change: object) => ({
      packages: { ...lock.packages, [place]: { ...lock.packages[place], ...change } },
    });
    assert.notEqual(createSbom(changed({ version: '99.0.0' }), read('Dockerfile')).serialNumber, sbom.serialNumber);
    assert.throws(() => createSbom(changed({ license: undefined }), read('Dockerfile')), /names no licence of pino/);
  });
});
