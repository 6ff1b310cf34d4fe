import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Plugin } from 'esbuild';

/**
 * Leaves the lines of packages out of the source maps, only their files are told. Node reads a whole map when it first needs
 * one, which happens at every start, in time and memory in proportion to it.
 */
export const ownSourceMaps: Plugin = {
  name: 'own-source-maps',
  setup(build) {
    build.onLoad({ filter: /[\\/]node_modules[\\/].*\.[cm]?js$/ }, ({ path: file }) => {
      const text = readFileSync(file, 'utf8').replaceAll(/^\/\/# sourceMappingURL=.*$/gm, '');
      return { contents: `${text}\n//# sourceMappingURL=${mapToFirstLine(path.basename(file))}`, loader: 'js' };
    });
  },
};

/** A source map by which everything comes from the beginning of the file. */
function mapToFirstLine(source: string): string {
  const map = { version: 3, sources: [source], names: [], mappings: 'AAAA' };
  return `data:application/json;base64,${Buffer.from(JSON.stringify(map)).toString('base64')}`;
}
