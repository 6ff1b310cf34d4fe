import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Runner } from '../../src/orchestrator/runners/runner.ts';
import { createLog } from '../../src/shared/log.ts';
import { answerMessages } from '../support/answer-messages.ts';

// An orchestrator whose steps do nothing, so that all it does is to keep their records. Its steps wait until the gate is
// opened. The argument is the root of the checkout whose orchestrator it is.

/** What the benchmark asks of it: to let its steps go on, from now on or until it is told otherwise. */
export interface OrchestratorMessage {
  readonly open: boolean;
}

export type OrchestratorAnswer = OrchestratorMessage;

const [productRoot] = process.argv.slice(2) as [string];
const load = (file: string) => import(pathToFileURL(path.join(productRoot, 'src/orchestrator', file)).href);
const { readOrchestratorConfig }: typeof import('../../src/orchestrator/config.ts') = await load('config.ts');
const { startOrchestrator }: typeof import('../../src/orchestrator/orchestrator.ts') = await load('orchestrator.ts');

let gate = Promise.withResolvers<void>();

const runner: Runner = {
  findFault: () => undefined,
  async run() {
    await gate.promise;
    return { output: { artifacts: [], sequences: [] } };
  },
  close: async () => {},
};

const config = readOrchestratorConfig(process.env);
const log = createLog('bench', config.logLevel);
const { port } = await startOrchestrator(config, { log, runner, onReplaced: () => process.exit(1) });

answerMessages<OrchestratorMessage>(async ({ open }): Promise<OrchestratorAnswer> => {
  if (open) gate.resolve();
  else gate = Promise.withResolvers();
  return { open };
});
process.stdout.write(`${JSON.stringify({ address: `127.0.0.1:${port}` })}\n`);
