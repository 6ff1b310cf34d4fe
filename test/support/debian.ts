import { execFile } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';

/** The time for a whole installation, in seconds; what it started is killed afterwards. */
const INSTALL_BOUND_SECONDS = 180;
const APT_GET = '/usr/bin/apt-get';

/**
 * A program that is no npm package. Root on a machine with apt-get installs it when it is not there. Otherwise `missing`
 * is a sentence that says how to get it, which a test gives as its reason to be skipped.
 */
export async function findDebianProgram(
  command: string,
  packageName: string,
): Promise<{ readonly file: string } | { readonly missing: string }> {
  const found = findCommand(command);
  if (found) return { file: found };
  const advice = `Debian has it as \`apt-get install --no-install-recommends ${packageName}\``;
  if (process.getuid?.() !== 0 || !isExecutable(APT_GET)) {
    return { missing: `${command} is not installed; ${advice}` };
  }
  const fault = await install(packageName);
  const file = findCommand(command);
  if (file) return { file };
  return {
    missing: `${command} is not installed, and installing it failed (${fault ?? 'it came without'}); ${advice}`,
  };
}

function findCommand(command: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(path.delimiter), '/usr/sbin', '/usr/bin'];
  return folders
    .filter((folder) => path.isAbsolute(folder))
    .map((folder) => path.join(folder, command))
    .find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/** Answers with the last thing that went wrong, if anything did. */
async function install(packageName: string): Promise<string | undefined> {
  // Without a network it must not take long to say so.
  const options = `-o DPkg::Lock::Timeout=${INSTALL_BOUND_SECONDS} -o Acquire::http::Timeout=20 -o Acquire::Retries=1`;
  const script = `apt-get ${options} update && exec apt-get ${options} install -y --no-install-recommends "$1"`;
  // Two test files may be here at once, and no option makes `update` wait for another one. The kernel gives this lock
  // back whatever happens to its holder; timeout ends the whole group of processes.
  const bound = ['--kill-after=5', String(INSTALL_BOUND_SECONDS)];
  const locked = ['flock', '--close', '/var/lib/apt', 'sh', '-c', script, 'sh', packageName];
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' };
  try {
    await promisify(execFile)('timeout', [...bound, ...locked], { env, maxBuffer: 64 * 1024 * 1024 });
    return undefined;
  } catch (error) {
    const { code, stderr = '', message } = error as Error & { code?: number | string; stderr?: string };
    if (code === 124) return `it took more than ${INSTALL_BOUND_SECONDS} s`;
    return stderr.trim().split('\n').at(-1) || message;
  }
}
