import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createApiClient } from '../client/api.ts';
import { chooseFiles } from '../client/artifact-files.ts';
import { downloadFiles } from '../client/commands/download.ts';
import { exitCodeOfSignal, exitCodeOfState } from '../client/exit-codes.ts';
import { followWorkflow } from '../client/follow.ts';
import { createOutput } from '../client/output.ts';
import { GATEWAY_PREFIX } from '../gateway/config.ts';
import { ORCHESTRATOR_PREFIX } from '../orchestrator/config.ts';
import { StartupError } from '../shared/startup-error.ts';
import { exitWith, readArguments } from './program.ts';
import { type Stack, startStack } from './stack.ts';

const NAME = 'foldforge-demo';
const OUTPUT_DIR = 'demo-output';
const SPEC = new URL('../../examples/workflows/binder-design.json', import.meta.url);
const TOKEN = 'dev-token';

/** A machine of its own: free ports, a folder that goes away, and nothing of the environment's settings. */
const SETTINGS = {
  [`${GATEWAY_PREFIX}BIND_ADDR`]: '127.0.0.1:0',
  [`${GATEWAY_PREFIX}API_TOKEN`]: TOKEN,
  [`${GATEWAY_PREFIX}CONSOLE_ENABLED`]: 'false',
  [`${ORCHESTRATOR_PREFIX}BIND_ADDR`]: '127.0.0.1:0',
  [`${ORCHESTRATOR_PREFIX}METRICS_ADDR`]: '127.0.0.1:0',
  [`${ORCHESTRATOR_PREFIX}MOCK_STEP_SECONDS`]: '2',
};

const dataDir = mkdtempSync(path.join(os.tmpdir(), 'foldforge-demo-'));
const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupted.abort(signal));

let starting: Promise<Stack> | undefined;
try {
  readArguments(NAME, process.argv.slice(2));
  await showAll(interrupted.signal);
  await clear();
  process.exit(0);
} catch (error) {
  await clear();
  if (interrupted.signal.aborted) process.exit(exitCodeOfSignal(interrupted.signal.reason));
  exitWith(NAME, error);
}

/** Stops whatever was started, however far it has come, and leaves nothing behind. */
async function clear(): Promise<void> {
  const stack = await starting?.catch(() => undefined);
  await stack?.close();
  rmSync(dataDir, { recursive: true, force: true });
}

/** What `foldforge submit --watch` and `foldforge download` do, with a server of its own. */
async function showAll(signal: AbortSignal): Promise<void> {
  say('Starting the gateway, the orchestrator, Postgres and an object store …');
  starting = startStack(SETTINGS, dataDir);
  const { gatewayUrl: url } = await starting;
  const api = createApiClient({ url, token: TOKEN, signal });
  const workflow = await api.submitWorkflow(JSON.parse(readFileSync(SPEC, 'utf8')));
  say(`Submitted workflow ${workflow.id} to ${url}. Tools are simulated: no GPU is needed.\n`);

  const { stdout, stderr, env: environment } = process;
  const state = await followWorkflow(api, workflow, createOutput({ stdout, stderr, environment }), { from: '0' });
  if (state !== 'SUCCEEDED') throw new StartupError(`the workflow ended ${state}`, exitCodeOfState(state));

  say(`\nDownloading what it made to ${OUTPUT_DIR}/, each file checked against its SHA-256:`);
  const files = chooseFiles(await api.getWorkflow(workflow.id), { stepIds: [], sha256s: [] });
  await downloadFiles(api, workflow.id, files, OUTPUT_DIR, (file, _status, { artifact }) =>
    say(`  ${file}  ${artifact.size_bytes} bytes  sha256 ${artifact.sha256}`),
  );
  say('\nDone. `npm start` runs the same for you to use.');
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
