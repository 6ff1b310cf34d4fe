import { readFileSync } from 'node:fs';
import { get as getPlain } from 'node:http';
import { get as getSecure } from 'node:https';
import { PROBES, type Probe } from './probes.ts';

const TIMEOUT_MS = 4_000;

// The container's health check: exits with 0 when the program that is the given process is well, or else with 1.
const [pid = '1'] = process.argv.slice(2);
try {
  const { variable, defaultAddress, path, certificateVariable = '' } = findProbe(pid);
  const isTls = Boolean(process.env[certificateVariable]?.trim());
  const address = reachable(process.env[variable]?.trim() || defaultAddress);
  const url = `${isTls ? 'https' : 'http'}://${address}${path}`;
  const status = await ask(url, isTls);
  if (status !== 200) throw new Error(`${url} answers ${status}`);
} catch (error) {
  const { message, cause } = error as Error;
  process.stderr.write(`${cause instanceof Error ? cause.message : message}\n`);
  process.exitCode = 1;
}

/**
 * The status of the answer. Over TLS it is asked as a kubelet asks: whether the certificate is good is for clients to say.
 * A new one that cannot be used, or one that has ended, must not have a gateway restarted that serves.
 */
function ask(url: string, isTls: boolean): Promise<number | undefined> {
  const options = { agent: false as const, signal: AbortSignal.timeout(TIMEOUT_MS) };
  return new Promise((resolve, reject) => {
    const request = isTls ? getSecure(url, { ...options, rejectUnauthorized: false }) : getPlain(url, options);
    request.on('error', reject).on('response', (response) => {
      response.resume();
      resolve(response.statusCode);
    });
  });
}

/** Also finds the program behind a small init process, whose arguments are the command that it runs. */
function findProbe(processId: string): Probe {
  const command = readFileSync(`/proc/${processId}/cmdline`, 'utf8').split('\0');
  const isRun = (program: string) => command.some((part) => part === program || part.endsWith(`/${program}.js`));
  const [, probe] = Object.entries(PROBES).find(([program]) => isRun(program)) ?? [];
  if (!probe) throw new Error(`process ${processId} is none of: ${Object.keys(PROBES).join(', ')}`);
  return probe;
}

/** Where a listener on `address` can be reached from this machine. */
function reachable(address: string): string {
  return address.replace(/^0\.0\.0\.0:/, '127.0.0.1:').replace(/^\[::\]:/, '[::1]:');
}
