import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { SourceMap, type SourceMapping } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Metafile } from 'esbuild';
import { bundle } from '../../scripts/bundle.ts';
import { createSbom } from '../../scripts/sbom.ts';

const PROJECT = path.resolve(import.meta.dirname, '../..');

/** What is in the bundle; that it runs is shown with the image that carries it. */
describe('the bundle', () => {
  const temporary = mkdtempSync(path.join(os.tmpdir(), 'foldforge-test-'));
  let metafile: Metafile;

  before(async () => {
    metafile = await bundle(path.join(temporary, 'dist'));
  });

  after(() => rmSync(temporary, { recursive: true, force: true }));

  it('loads nothing for the gateway that only some settings need, nor anything of Express', () => {
    const { outputs } = metafile;
    // The entry point loads the gateway itself by import(), because a process that starts workers does not need it.
    const roots = ['src/bin/gateway.ts', 'src/gateway/gateway.ts'];
    const loaded = new Set(
      Object.keys(outputs).filter((file) => roots.some((root) => Object.hasOwn(outputs[file]!.inputs, root))),
    );
    for (const file of loaded) {
      for (const { path: imported, kind, external } of outputs[file]!.imports) {
        if (!external && kind === 'import-statement') loaded.add(imported);
      }
    }
    const packages = packagesOf(loaded, metafile);
    assert.ok(packages.has('express-openapi-validator') && packages.has('prom-client'));
    const ofNobody = ['express', 'multer', '@apidevtools'];
    const absent = ['@aws-sdk', '@smithy', 'stripe', 'yaml', 'pg', '@dbos-inc', ...ofNobody];
    const among = (names: ReadonlySet<string>) => absent.filter((name) => names.has(name));
    assert.deepEqual(among(packages), []);
    const tracing = Object.keys(outputs).filter((file) =>
      Object.keys(outputs[file]!.inputs).some((input) => /open-telemetry|@opentelemetry\/(?!api\/)/.test(input)),
    );
    assert.deepEqual(
      tracing.filter((file) => loaded.has(file)),
      [],
    );
    assert.notDeepEqual(tracing, [], 'but they are there for who turns traces on');
    const everything = packagesOf(Object.keys(outputs), metafile);
    assert.deepEqual(
      among(everything),
      absent.filter((name) => !ofNobody.includes(name)),
    );
  });

  it('has no part that the bill of materials does not name', () => {
    const read = (file: string) => readFileSync(path.join(PROJECT, file), 'utf8');
    const sbom = createSbom(JSON.parse(read('package-lock.json')), read('Dockerfile'));
    const purls = new Set(sbom.components.map(({ purl }) => purl));
    const parts = ['licences.txt', 'pages/console/licences.txt'].flatMap((file) =>
      readFileSync(path.join(temporary, 'dist', file), 'utf8')
        .split(/^-{80}\n\n/m)
        .map((licence) => /^(\S+) (\S+) \(/.exec(licence)!.slice(1) as [name: string, version: string]),
    );
    assert.ok(parts.length > 50);
    const unnamed = parts.filter(([name, version]) => !purls.has(`pkg:npm/${name.replace('@', '%40')}@${version}`));
    assert.deepEqual(unnamed, []);
  });

  it('has source maps of our own lines, and of no others', () => {
    const [file] = Object.entries(metafile.outputs).find(([, { inputs }]) => 'src/gateway/gateway.ts' in inputs)!;
    const output = path.resolve(PROJECT, file);
    const map = new SourceMap(JSON.parse(readFileSync(`${output}.map`, 'utf8')));
    const lines = readFileSync(output, 'utf8').split('\n');
    const originOf = (start: string) => {
      const line = lines.findIndex((text) => text.trimStart().startsWith(start));
      const { originalSource, originalLine } = map.findEntry(line, lines[line]!.indexOf(start)) as SourceMapping;
      return { source: path.relative(PROJECT, path.resolve(path.dirname(output), originalSource)), originalLine };
    };
    const ours = originOf('async function startGateway(');
    assert.equal(ours.source, 'src/gateway/gateway.ts');
    const source = readFileSync(path.join(PROJECT, ours.source), 'utf8').split('\n');
    assert.match(source[ours.originalLine]!, /^export async function startGateway\(/);
    const theirs = originOf('exports.RequestValidator = ');
    assert.match(theirs.source, /node_modules\/express-openapi-validator\/.*\/openapi\.request\.validator\.js$/);
    assert.equal(theirs.originalLine, 0);
  });
});

/** The packages, or their scopes, whose code went into `files`. */
function packagesOf(files: Iterable<string>, { outputs }: Metafile): ReadonlySet<string> {
  const inputs = [...files].flatMap((file) => Object.entries(outputs[file]!.inputs));
  return new Set(
    inputs.flatMap(([input, { bytesInOutput }]) =>
      bytesInOutput > 0 ? [...input.matchAll(/node_modules\/([^/]+)/g)].slice(-1).map(([, name]) => name!) : [],
    ),
  );
}
