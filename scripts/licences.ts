import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const PACKAGE_DIR = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/;

/**
 * The licence texts of the packages that `files`, relative to `root`, come from. Their licences ask whoever hands
 * on the code, bundled or not, to hand on the text too.
 */
export function listLicences(root: string, files: readonly string[]): string {
  const packageDirs = new Set(files.flatMap((file) => PACKAGE_DIR.exec(file)?.[0] ?? []));
  return [...packageDirs]
    .sort()
    .map((packageDir) => describe(path.join(root, packageDir)))
    .join(`\n${'-'.repeat(80)}\n\n`);
}

function describe(packageDir: string): string {
  const { name, version, license } = JSON.parse(readFileSync(path.join(packageDir, 'package.json'), 'utf8'));
  const texts = readdirSync(packageDir)
    .filter((file) => /^(licen[cs]e|notice|copying)/i.test(file))
    .map((file) => readFileSync(path.join(packageDir, file), 'utf8').trim());
  return `${[`${name} ${version} (${license})`, ...texts].join('\n\n')}\n`;
}
