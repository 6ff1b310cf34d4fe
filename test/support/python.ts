import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const CACHE = fileURLToPath(new URL('../../node_modules/.cache/', import.meta.url));
/** The time for each step of an installation, in milliseconds. */
const INSTALL_BOUND_MS = 120_000;
const OLDEST = 'sys.version_info >= (3, 10)';

/**
 * A Python with the packages of this requirements.txt, in an environment of its own under node_modules/.cache. `missing` is
 * a sentence that says why there is none, which a test gives as its reason to be skipped.
 */
export async function findPython(
  requirements: string,
): Promise<{ readonly file: string } | { readonly missing: string }> {
  try {
    const { stdout } = await run('python3', ['-c', `import sys; print(${OLDEST}, sys.version)`]);
    if (!stdout.startsWith('True')) return { missing: `python3 is too old: ${stdout.trim()}` };
    const digest = createHash('sha256').update(stdout).update(readFileSync(requirements));
    return { file: await install(requirements, path.join(CACHE, `python-${digest.digest('hex').slice(0, 16)}`)) };
  } catch (error) {
    const { code, message, stderr = '' } = error as Error & { code?: unknown; stderr?: string };
    if (code === 'ENOENT') return { missing: 'python3 is not installed' };
    return { missing: `Python packages could not be installed: ${stderr.trim().split('\n').at(-1) || message}` };
  }
}

async function install(requirements: string, folder: string): Promise<string> {
  const file = path.join(folder, 'bin/python');
  const done = path.join(folder, 'installed');
  if (existsSync(done)) return file;
  rmSync(folder, { recursive: true, force: true });
  const bound = { timeout: INSTALL_BOUND_MS };
  await run('python3', ['-m', 'venv', folder], bound);
  const options = ['--quiet', '--disable-pip-version-check', '--retries', '1', '--timeout', '20'];
  await run(file, ['-m', 'pip', 'install', ...options, '--requirement', requirements], bound);
  writeFileSync(done, '');
  return file;
}
