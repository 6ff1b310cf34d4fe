import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import type { Manifest } from './kubernetes-schemas.ts';

const DEPLOY = new URL('../../deploy/', import.meta.url);
export const CHART = fileURLToPath(new URL('helm/foldforge', DEPLOY));
export const PLAIN_VALUES = fileURLToPath(new URL('kubernetes/values.yaml', DEPLOY));
export const PLAIN = fileURLToPath(new URL('kubernetes/foldforge.yaml', DEPLOY));
/** What TLS needs besides PLAIN_VALUES. */
const TLS_VALUES = fileURLToPath(new URL('kubernetes/values-tls.yaml', DEPLOY));
export const PLAIN_TLS = fileURLToPath(new URL('kubernetes/foldforge-tls.yaml', DEPLOY));

/** The manifests that are committed, and the files of values that each is made with. */
export const RENDERINGS: readonly { readonly manifests: string; readonly values: readonly string[] }[] = [
  { manifests: PLAIN, values: [PLAIN_VALUES] },
  { manifests: PLAIN_TLS, values: [PLAIN_VALUES, TLS_VALUES] },
];

const HEADER = `# Made from the chart in deploy/helm/foldforge by \`npm run check:deploy -- --write\`: edit that, not this.
`;

/** What Helm makes of the chart with these files of values and settings (\`a.b=c\`). Throws what Helm says when it refuses. */
export function renderChart(helm: string, files: readonly string[], settings: readonly string[] = []): string {
  const args = ['template', 'foldforge', CHART];
  for (const file of files) args.push('--values', file);
  for (const setting of settings) args.push('--set-json', setting);
  return execFileSync(helm, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 64 * 1024 * 1024 });
}

/** The manifests for those who do without Helm: nothing in them says that it manages them. */
export function renderPlain(helm: string, values: readonly string[]): string {
  const text = renderChart(helm, values)
    .replaceAll(/^ +(?:app\.kubernetes\.io\/managed-by|helm\.sh\/chart): .*\n/gm, '')
    .replaceAll(/^# Source: .*\n/gm, '')
    .replaceAll(/\n{2,}---/g, '\n---')
    .replace(/^---\n/, '');
  return HEADER + text.trimEnd().concat('\n');
}

export function writePlain(helm: string): void {
  for (const { manifests, values } of RENDERINGS) writeFileSync(manifests, renderPlain(helm, values));
}

/** As Kubernetes reads them: YAML 1.1. */
export function parseManifests(text: string): readonly Manifest[] {
  return parseAllDocuments(text, { version: '1.1' })
    .map((document) => {
      if ('errors' in document && document.errors.length > 0) throw document.errors[0];
      return document.toJS();
    })
    .filter((manifest) => manifest !== null);
}
