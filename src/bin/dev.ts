import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { GATEWAY_PREFIX } from '../gateway/config.ts';
import { readDataDir } from './data-dir.ts';
import { readArguments, runProgram } from './program.ts';
import { readStackConfig, showStackSettings, startStack } from './stack.ts';

const NAME = 'foldforge';
const EXAMPLE = path.relative(
  '',
  fileURLToPath(new URL('../../examples/workflows/binder-design.json', import.meta.url)),
);

await runProgram(NAME, async () => {
  const { API_TOKEN } = readStackConfig(process.env).gateway;
  readArguments(NAME, process.argv.slice(2), showStackSettings(process.env));
  const dataDir = readDataDir(process.env);
  const stack = await startStack(process.env, dataDir);
  process.stdout.write(greeting(stack.gatewayUrl, API_TOKEN.includes('dev-token'), dataDir));
  return stack;
});

/** Only the well-known token is printed: another one is a secret. */
function greeting(url: string, isDevToken: boolean, dataDir: string): string {
  const token = isDevToken ? 'dev-token' : `YOUR-${GATEWAY_PREFIX}API_TOKEN`;
  const auth = `-H "Authorization: Bearer ${token}"`;
  return `
FoldForge is ready at ${url}   token: ${token}   data: ${dataDir}

In a browser, sign in with the token: ${url}/console   The API: ${url}/docs

Submit a design:
  curl -sS ${url}/v1/workflows ${auth} -H 'Content-Type: application/json' -d '@${EXAMPLE}'

Watch it, with the id from the answer instead of ID:
  curl -N ${url}/v1/workflows/ID/events ${auth}

Read it when it is done; each output's uri ends in the key to download:
  curl -sS ${url}/v1/workflows/ID ${auth}

Ctrl-C stops everything; what was made stays.
`;
}
