import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { ApiError, bodyOf, createFoldForge, isLostConnection, repeat, type Schemas } from './client.ts';
import { downloadArtifact } from './download.ts';
import { watchWorkflow } from './watch.ts';

const { FOLDFORGE_URL = 'http://127.0.0.1:8080', FOLDFORGE_API_KEY } = process.env;
const FOLDER = 'designs';

/** Two backbones, four sequences for each, and a prediction of how they fold. */
const SPEC: Schemas['WorkflowSpec'] = {
  name: 'A first design',
  labels: { example: 'client-ts' },
  steps: [
    { id: 'backbones', tool: 'rfdiffusion', params: { contigs: '80-100', num_designs: 2 } },
    { id: 'sequences', tool: 'proteinmpnn', depends_on: ['backbones'], params: { num_sequences: 4 } },
    { id: 'folds', tool: 'af2', depends_on: ['sequences'], params: { num_models: 2 } },
  ],
};

if (!FOLDFORGE_API_KEY) fail('FOLDFORGE_API_KEY is not set; `npm start` of the gateway prints one');
const foldforge = createFoldForge({ url: FOLDFORGE_URL, apiKey: FOLDFORGE_API_KEY });

try {
  const { id } = await submit();
  const state = await watch(id);
  if (state !== 'SUCCEEDED') fail(`the workflow ended ${state}`);
  await download(id);
  await rank(id);
} catch (error) {
  if (error instanceof ApiError) fail(error.message);
  if (isLostConnection(error)) fail(`${FOLDFORGE_URL} does not answer: ${reasonOf(error)}`);
  throw error;
}

/** With the key, a repetition after a lost answer submits nothing twice. */
async function submit(): Promise<Schemas['Workflow']> {
  const header = { 'Idempotency-Key': randomUUID() };
  const workflow = await repeat(async () =>
    bodyOf(await foldforge.POST('/v1/workflows', { params: { header }, body: SPEC })),
  );
  console.log(`Submitted ${workflow.id}`);
  return workflow;
}

async function watch(id: string): Promise<Schemas['State']> {
  const events = watchWorkflow(foldforge, id, (reason, { cursor }) =>
    console.error(`The stream was lost (${reasonOf(reason)}); going on after event ${cursor}`),
  );
  for (;;) {
    const { done, value } = await events.next();
    if (done) return value;
    if (value.step_update) console.log(describeStep(value.step_update));
  }
}

function describeStep({ step_id, state, fraction, error }: Schemas['StepStatus']): string {
  const reason = error ? `  ${error.code}: ${error.message}` : '';
  return `  ${step_id}  ${state} ${Math.round(fraction * 100)}%${reason}`;
}

async function download(id: string): Promise<void> {
  const { step_statuses } = await repeat(async () =>
    bodyOf(await foldforge.GET('/v1/workflows/{id}', { params: { path: { id } } })),
  );
  await mkdir(FOLDER, { recursive: true });
  for (const { step_id, outputs } of step_statuses) {
    for (const [index, artifact] of outputs.entries()) {
      const file = path.join(FOLDER, `${step_id}-${index + 1}${path.extname(artifact.uri)}`);
      await repeat(() => downloadArtifact(foldforge, id, artifact, file));
      console.log(`${file}  ${artifact.size_bytes} bytes  sha256 ${artifact.sha256}`);
    }
  }
}

async function rank(id: string): Promise<void> {
  const body = { metric: 'plddt', top_k: 3 };
  const { designs, total_considered } = await repeat(async () =>
    bodyOf(await foldforge.POST('/v1/workflows/{id}/rank', { params: { path: { id } }, body })),
  );
  console.log(`The best ${designs.length} of ${total_considered} by ${body.metric}:`);
  for (const { rank, score, source_step, id } of designs) {
    console.log(`  ${rank}. ${score.toFixed(1)}  ${source_step}  ${id}`);
  }
}

/** What fetch says is too general; what it was caused by is not. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}

function fail(message: string): never {
  console.error(message);
  process.exit(1);
}
