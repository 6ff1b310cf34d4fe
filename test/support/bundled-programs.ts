import { createHash } from 'node:crypto';
import { chmodSync, existsSync, globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { build, type Plugin } from 'esbuild';
import { createCompiledSpec } from '../../scripts/compiled-spec.ts';
import { makeOnce } from './made-once.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const CACHE = path.join(ROOT, 'node_modules/.cache/programs');
/** Those that tests start as processes of their own. */
const NAMES = ['demo', 'dev', 'foldforge', 'gateway', 'orchestrator'];

let folder: string | undefined;

/**
 * The file that runs a program of src/bin: its bundle when `bundlePrograms` has made one of the code as it is now, because
 * loading hundreds of files takes a program longer than all the rest of its start; else its source.
 */
export function fileOfProgram(name: string): string {
  folder ??= folderOfBundles();
  const bundled = path.join(folder, `${name}.mjs`);
  return existsSync(bundled) ? bundled : path.join(ROOT, 'src/bin', `${name}.ts`);
}

/** Bundles the programs, unless this state of the code has been bundled before. */
export async function bundlePrograms(): Promise<void> {
  await makeOnce(folderOfBundles(), bundleInto);
}

async function bundleInto(outdir: string): Promise<void> {
  await build({
    absWorkingDir: ROOT,
    entryPoints: Object.fromEntries(NAMES.map((name) => [name, `src/bin/${name}.ts`])),
    outdir,
    bundle: true,
    splitting: true,
    format: 'esm',
    outExtension: { '.js': '.mjs' },
    platform: 'node',
    target: 'node24',
    mainFields: ['module', 'main'],
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
    plugins: [createCompiledSpec(ROOT), keepPlaces, leaveOutMissing],
    logLevel: 'error',
  });
  // Also for programs that are started under another account.
  chmodSync(outdir, 0o755);
}

function folderOfBundles(): string {
  const hash = createHash('sha256');
  const files = [
    ...globSync('src/**/*.ts', { cwd: ROOT }).sort(),
    'openapi.yaml',
    'package.json',
    'package-lock.json',
    'scripts/compiled-spec.ts',
    import.meta.filename,
  ];
  for (const file of files) hash.update(`${file}\0`).update(readFileSync(path.resolve(ROOT, file)));
  return path.join(CACHE, hash.digest('hex').slice(0, 20));
}

/** What a source looks for beside itself, it finds beside the source. */
const keepPlaces: Plugin = {
  name: 'keep-places',
  setup({ onLoad }) {
    onLoad({ filter: /[\\/]src[\\/][^.]*\.ts$/ }, ({ path: file }) => {
      if (file.includes('node_modules')) return undefined;
      const contents = readFileSync(file, 'utf8')
        .replaceAll('import.meta.url', JSON.stringify(pathToFileURL(file).href))
        .replaceAll('import.meta.dirname', JSON.stringify(path.dirname(file)));
      return { contents, loader: 'ts' };
    });
  },
};

/** A package that is not installed is one that nobody needs until it is loaded. */
const leaveOutMissing: Plugin = {
  name: 'leave-out-missing',
  setup(bundling) {
    bundling.onResolve({ filter: /^[^./]/ }, async ({ path: name, pluginData, ...from }) => {
      if (pluginData === leaveOutMissing) return undefined;
      const { errors, ...resolved } = await bundling.resolve(name, { ...from, pluginData: leaveOutMissing });
      return errors.length > 0 ? { path: name, external: true } : { ...resolved, pluginData: undefined };
    });
  },
};
