import { parseArgs } from 'node:util';
import { createArtifactWriter } from '../../src/orchestrator/runners/artifact-writer.ts';
import { type Script, startSidecar } from './sidecar.ts';
import { nameArtifact } from './sidecar-results.ts';

// A sidecar of all four tools as a process of its own, which prints {"port":…} when it listens. It fails a share of its
// runs with a retryable OOM, and puts its files into a store when it is given one: the JSON of an ArtifactStoreAddress.
const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    'run-ms': { type: 'string', default: '0' },
    'fail-rate': { type: 'string', default: '0' },
    store: { type: 'string' },
  },
});
const failRate = Number(values['fail-rate']);
const writer = values.store === undefined ? undefined : createArtifactWriter(JSON.parse(values.store));

const script: Script = async function* run(call) {
  if (Math.random() < failRate) {
    yield { progress: 0.5 };
    yield { error: { code: 'OOM', message: 'CUDA out of memory', retryable: true } };
    return;
  }
  yield* sidecar.runWell(call);
};

const sidecar = await startSidecar({
  port: Number(values.port),
  runMs: Number(values['run-ms']),
  putArtifact: writer?.putArtifact ?? nameArtifact,
  script,
});
process.once('SIGTERM', async () => {
  await sidecar.close();
  writer?.close();
});
console.log(JSON.stringify({ port: sidecar.port }));
