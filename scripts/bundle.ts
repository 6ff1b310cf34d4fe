import { rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { build, type Metafile } from 'esbuild';
import { createCompiledSpec } from './compiled-spec.ts';
import { listLicences } from './licences.ts';
import { ownSourceMaps } from './own-source-maps.ts';

const ROOT = path.resolve(import.meta.dirname, '..');

const ENTRY_POINTS = {
  'bin/gateway': 'src/bin/gateway.ts',
  'bin/orchestrator': 'src/bin/orchestrator.ts',
  'bin/healthcheck': 'scripts/healthcheck.ts',
};

/** What the durable engine loads only to export telemetry to its makers' cloud; not installed here either. */
const NEVER_LOADED = [
  '@opentelemetry/context-async-hooks',
  '@opentelemetry/core',
  '@opentelemetry/exporter-logs-otlp-proto',
  '@opentelemetry/exporter-trace-otlp-proto',
  '@opentelemetry/sdk-logs',
  '@opentelemetry/sdk-trace-base',
  'winston',
  'winston-transport',
];

/**
 * Replaces the folder `outDir` by both programs and the health check, each with all it needs but openapi.yaml, which
 * the gateway reads from beside that folder. Answers with what went into which file; its paths start at the project.
 */
export async function bundle(outDir: string): Promise<Metafile> {
  rmSync(outDir, { recursive: true, force: true });
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
    external: NEVER_LOADED,
    // CommonJS packages load Node's own modules with require, which an ES module does not have.
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
    // Not minified: it would save little, and stack traces tell more.
    minify: false,
    legalComments: 'none',
    plugins: [createCompiledSpec(ROOT), ownSourceMaps],
    sourcemap: true,
    sourcesContent: false,
    metafile: true,
    logLevel: 'warning',
  });
  writeFileSync(path.join(outDir, 'package.json'), '{ "type": "module" }\n');
  writeFileSync(path.join(outDir, 'licences.txt'), listLicences(ROOT, Object.keys(metafile.inputs)));
  return metafile;
}

if (import.meta.main) {
  const { outputs } = await bundle(path.join(ROOT, 'dist'));
  for (const file of Object.keys(outputs).filter((name) => name.endsWith('.js'))) {
    const kilobytes = Math.ceil(statSync(path.join(ROOT, file)).size / 1000);
    process.stdout.write(`${String(kilobytes).padStart(6)} kB  ${file}\n`);
  }
}
