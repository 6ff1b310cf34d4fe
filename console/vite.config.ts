import { readFileSync } from 'node:fs';
import path from 'node:path';
import { defineConfig, type Plugin } from 'vite';
import { listLicences } from '../scripts/licences.ts';

const ROOT = path.resolve(import.meta.dirname, '..');

/** Comes as a bundle of itself and what it depends on. */
const PREBUILT = '3dmol';

/** Writes the licences of every package of which something is in the bundle. */
const licences: Plugin = {
  name: 'licences',
  generateBundle(_options, bundle) {
    const chunks = Object.values(bundle).filter((output) => output.type === 'chunk');
    const files = chunks.flatMap(({ moduleIds }) => moduleIds.map((id) => path.relative(ROOT, id)));
    const within = files.some((file) => file.startsWith(`node_modules/${PREBUILT}/`)) ? listDependencies(PREBUILT) : [];
    this.emitFile({ type: 'asset', fileName: 'licences.txt', source: listLicences(ROOT, [...files, ...within]) });
  },
};

function listDependencies(packageName: string): string[] {
  const manifest = path.join(ROOT, 'node_modules', packageName, 'package.json');
  const { dependencies = {} } = JSON.parse(readFileSync(manifest, 'utf8'));
  return Object.keys(dependencies).map((name) => `node_modules/${name}/package.json`);
}

/** Nothing is painted before the script has set the theme, so that a page never flashes in the other one. */
const paintLater: Plugin = {
  name: 'paint-later',
  transformIndexHtml: {
    order: 'post',
    handler: (html) => html.replace('<script type="module"', '<script type="module" blocking="render"'),
  },
};

// biome-ignore lint/style/noDefaultExport: Vite reads its settings from there.
export default defineConfig({
  root: import.meta.dirname,
  base: '/console/',
  plugins: [licences, paintLater],
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: path.join(ROOT, 'dist/pages/console'),
    emptyOutDir: true,
    target: ['chrome123', 'edge123', 'firefox128', 'safari17.5'],
    // The content security policy has no room for data: but for images.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // The 3D library is one chunk of its own, loaded only when a structure is looked at.
    chunkSizeWarningLimit: 1_000,
    rolldownOptions: {
      // On a machine that is busy it would say that everything is slow.
      checks: { pluginTimings: false },
      onwarn(warning, warn) {
        // 3Dmol evaluates callbacks that are given to it as text, which nobody does, and the policy forbids.
        if (warning.code !== 'EVAL' || !warning.id?.includes(`node_modules/${PREBUILT}/`)) warn(warning);
      },
    },
  },
});
