import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = import.meta.dirname;
/** What is built, and from which package of the Go module beside this file. */
const PACKAGES = { helm: 'helm.sh/helm/v4/cmd/helm', 'compose-config': '.' } as const;

type Tool = keyof typeof PACKAGES;

/** Where the tools of this go.sum are, or will be. */
function toolFolder(): string {
  const digest = createHash('sha256');
  for (const file of ['go.sum', 'compose-config.go']) digest.update(readFileSync(path.join(HERE, file)));
  const name = `deploy-tools-${digest.digest('hex').slice(0, 12)}`;
  return fileURLToPath(new URL(`../../node_modules/.cache/${name}`, import.meta.url));
}

/** A Helm that is there already: the one that `npm run check:deploy` has built, or else the machine's own. */
export function findHelm(): string | undefined {
  const folders = [toolFolder(), ...(process.env.PATH ?? '').split(path.delimiter).filter(path.isAbsolute)];
  return folders.map((folder) => path.join(folder, 'helm')).find(isExecutable);
}

/** Builds what is missing, which takes some minutes the first time. Throws where there is no Go or no module proxy. */
export function buildTools(): Readonly<Record<Tool, string>> {
  const folder = toolFolder();
  mkdirSync(folder, { recursive: true });
  const tools = Object.entries(PACKAGES).map(([tool, source]) => {
    const file = path.join(folder, tool);
    if (!isExecutable(file)) build(source, file);
    return [tool, file];
  });
  return Object.fromEntries(tools) as Record<Tool, string>;
}

function build(source: string, file: string): void {
  process.stdout.write(`Building ${path.basename(file)} …\n`);
  const temporary = mkdtempSync(`${file}-`);
  try {
    const made = path.join(temporary, 'made');
    const args = ['build', '-mod=readonly', '-trimpath', '-ldflags=-s -w', '-o', made, source];
    execFileSync('go', args, { cwd: HERE, env: { ...process.env, CGO_ENABLED: '0' }, stdio: ['ignore', 2, 2] });
    renameSync(made, file);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
