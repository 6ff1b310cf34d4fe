import { existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { build, type Metafile, type Plugin } from 'esbuild';
import { copyPages } from './build-pages.ts';
import { createCompiledSpec } from './compiled-spec.ts';
import { listLicences } from './licences.ts';
import { ownSourceMaps } from './own-source-maps.ts';

const ROOT = path.resolve(import.meta.dirname, '..');

const ENTRY_POINTS = {
  'bin/gateway': 'src/bin/gateway.ts',
  'bin/orchestrator': 'src/bin/orchestrator.ts',
  'bin/foldforge': 'src/bin/foldforge.ts',
  'bin/healthcheck': 'scripts/healthcheck.ts',
};

/**
 * What the durable engine loads only to export telemetry to its makers' cloud stays outside, where nothing is. Of the same
 * packages our own traces need some, and bring them.
 */
const NEVER_LOADED =
  /^(@opentelemetry\/(context-async-hooks|core|exporter-(logs|trace)-otlp-proto|sdk-(logs|trace-base))|winston(-transport)?)$/;

const withoutEngineTelemetry: Plugin = {
  name: 'without-engine-telemetry',
  setup({ onResolve }) {
    onResolve({ filter: NEVER_LOADED }, ({ path: name, importer }) =>
      /[\\/]node_modules[\\/]@dbos-inc[\\/]/.test(importer) ? { path: name, external: true } : undefined,
    );
  },
};

/**
 * Replaces the folder `outDir` by both programs, the health check and the pages, with all they need but openapi.yaml, which
 * the gateway reads from beside that folder. Answers with what went into which file; its paths start at the project.
 */
export async function bundle(outDir: string): Promise<Metafile> {
  clear(outDir);
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: ENTRY_POINTS,
    outdir: path.resolve(outDir),
    chunkNames: 'chunks/[name]-[hash]',
    bundle: true,
    // What the gateway imports only when it is configured stays in files of its own.
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    // ES modules where a package has them: parts that nobody uses can be left out, and import() sees all names.
    mainFields: ['module', 'main'],
    // CommonJS packages load Node's own modules with require, which an ES module does not have.
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
    // Not minified: it would save little, and stack traces tell more.
    minify: false,
    legalComments: 'none',
    plugins: [withoutEngineTelemetry, createCompiledSpec(ROOT), ownSourceMaps],
    sourcemap: true,
    sourcesContent: false,
    metafile: true,
    logLevel: 'warning',
  });
  await copyPages(path.join(outDir, 'pages'));
  writeFileSync(path.join(outDir, 'package.json'), '{ "type": "module" }\n');
  writeFileSync(path.join(outDir, 'licences.txt'), listLicences(ROOT, Object.keys(metafile.inputs)));
  return metafile;
}

/** Keeps the pages, which are built there, too. */
function clear(outDir: string): void {
  if (!existsSync(outDir)) return;
  for (const name of readdirSync(outDir)) if (name !== 'pages') rmSync(path.join(outDir, name), { recursive: true });
}

if (import.meta.main) {
  const { outputs } = await bundle(path.join(ROOT, 'dist'));
  for (const file of Object.keys(outputs).filter((name) => name.endsWith('.js'))) {
    const kilobytes = Math.ceil(statSync(path.join(ROOT, file)).size / 1000);
    process.stdout.write(`${String(kilobytes).padStart(6)} kB  ${file}\n`);
  }
}
