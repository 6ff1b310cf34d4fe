import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Plugin } from 'esbuild';
import { specToJson } from '../src/gateway/spec-json.ts';

/**
 * Puts what openapi.yaml of the project `root` says into the bundle, so that the gateway need not parse it, nor have a
 * parser. The text itself is still read at the start, and must be the one that was compiled.
 */
export function createCompiledSpec(root: string): Plugin {
  return {
    name: 'compiled-spec',
    setup(build) {
      build.onLoad({ filter: /[\\/]src[\\/]gateway[\\/]spec-json\.ts$/ }, ({ path: module }) => {
        const file = path.join(root, 'openapi.yaml');
        const yaml = readFileSync(file, 'utf8');
        return { contents: moduleOf(yaml), loader: 'ts', resolveDir: path.dirname(module), watchFiles: [file] };
      });
    },
  };
}

function moduleOf(yaml: string): string {
  return `
    import { hash } from 'node:crypto';
    import { StartupError } from '../shared/startup-error.ts';

    const JSON_TEXT = ${JSON.stringify(specToJson(yaml))};

    export function specToJson(yaml: string): string {
      if (hash('sha256', yaml) === '${hash('sha256', yaml)}') return JSON_TEXT;
      throw new StartupError('openapi.yaml is not the one that this program was built with');
    }
  `;
}
