import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createApiClient } from '../client/api.ts';
import { createProgress } from '../client/progress.ts';
import { GATEWAY_PREFIX } from '../gateway/config.ts';
import { ORCHESTRATOR_PREFIX } from '../orchestrator/config.ts';
import { StartupError } from '../shared/startup-error.ts';
import { exitWith, readArguments } from './program.ts';
import { type Stack, startStack } from './stack.ts';

const NAME = 'foldforge-demo';
const OUTPUT_DIR = 'demo-output';
const SPEC = new URL('../../examples/workflows/binder-design.json', import.meta.url);
const TOKEN = 'dev-token';
const EXIT_INTERRUPTED = 130;

/** A machine of its own: free ports, a folder that goes away, and nothing of the environment's settings. */
const SETTINGS = {
  [`${GATEWAY_PREFIX}BIND_ADDR`]: '127.0.0.1:0',
  [`${GATEWAY_PREFIX}API_TOKEN`]: TOKEN,
  [`${ORCHESTRATOR_PREFIX}BIND_ADDR`]: '127.0.0.1:0',
  [`${ORCHESTRATOR_PREFIX}METRICS_ADDR`]: '127.0.0.1:0',
  [`${ORCHESTRATOR_PREFIX}MOCK_STEP_SECONDS`]: '2',
};

const dataDir = mkdtempSync(path.join(os.tmpdir(), 'foldforge-demo-'));
const interrupted = new Promise<number>((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => resolve(EXIT_INTERRUPTED));
});

let starting: Promise<Stack> | undefined;
try {
  readArguments(NAME, process.argv.slice(2));
  process.exitCode = await Promise.race([showAll(), interrupted]);
  await clear();
  process.exit();
} catch (error) {
  await clear();
  exitWith(NAME, error);
}

async function showAll(): Promise<number> {
  say('Starting the gateway, the orchestrator, Postgres and an object store …');
  starting = startStack(SETTINGS, dataDir);
  await runDesign((await starting).gatewayUrl);
  return 0;
}

/** Stops whatever was started, however far it has come, and leaves nothing behind. */
async function clear(): Promise<void> {
  const stack = await starting?.catch(() => undefined);
  await stack?.close();
  rmSync(dataDir, { recursive: true, force: true });
}

async function runDesign(url: string): Promise<void> {
  const api = createApiClient({ url, token: TOKEN });
  const workflow = await api.submitWorkflow(JSON.parse(readFileSync(SPEC, 'utf8')));
  say(`Submitted workflow ${workflow.id} to ${url}. Tools are simulated: no GPU is needed.\n`);

  const progress = createProgress(workflow);
  const events = api.watchWorkflow(workflow.id);
  let next = await events.next();
  for (; !next.done; next = await events.next()) {
    if (next.value.step_update) progress.update(next.value.step_update);
  }
  progress.stop();
  if (next.value !== 'SUCCEEDED') throw new StartupError(`the workflow ended ${next.value}`, 1);

  mkdirSync(OUTPUT_DIR, { recursive: true });
  say(`\nDownloading what it made to ${OUTPUT_DIR}/, each file checked against its SHA-256:`);
  const { step_statuses } = await api.getWorkflow(workflow.id);
  for (const { step_id, outputs } of step_statuses) {
    for (const [index, artifact] of outputs.entries()) {
      const file = path.join(OUTPUT_DIR, `${step_id}-${index + 1}${path.extname(artifact.uri)}`);
      await api.downloadArtifact(workflow.id, artifact, file);
      say(`  ${file}  ${artifact.size_bytes} bytes  sha256 ${artifact.sha256}`);
    }
  }
  say('\nDone. `npm start` runs the same for you to use.');
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
