import type { SecureContext } from 'node:tls';
import type { Log } from '../../shared/log.ts';
import { type Tracing, traceFields } from '../../shared/tracing.ts';
import type { PutArtifact } from './artifact-writer.ts';
import { beginRuns, type Work } from './begin-runs.ts';
import { type ArtifactRecord, type Runner, type StepJob, TOOLS, type Tool } from './runner.ts';
import { connectAf2 } from './sidecar/af2.ts';
import { connectBoltz } from './sidecar/boltz.ts';
import { callSidecar } from './sidecar/call-sidecar.ts';
import { type CapabilityTiming, type OnCapabilities, startCapabilityWatch } from './sidecar/capability-watch.ts';
import { type ConnectionTiming, createSidecarConnection } from './sidecar/connection.ts';
import { connectProteinmpnn } from './sidecar/proteinmpnn.ts';
import { connectRfdiffusion } from './sidecar/rfdiffusion.ts';
import type { ConnectTool, SidecarCapabilities, SidecarClient } from './sidecar/tool.ts';
import { traceRuns } from './sidecar/traced-runs.ts';
import { StepFailure } from './step-failure.ts';
import { createUpload } from './upload.ts';

export type SidecarTiming = ConnectionTiming & CapabilityTiming;

export interface SidecarRunnerOptions {
  /** http or https URLs. */
  readonly endpoints: Readonly<Record<Tool, string>>;
  /** The authorities of https sidecars, asked with each connection; undefined: the usual ones. */
  readonly secureContext?: (() => SecureContext) | undefined;
  readonly putArtifact: PutArtifact;
  readonly log: Log;
  /** Undefined: calls have no spans. */
  readonly tracing?: Tracing | undefined;
  /** Told when a sidecar begins to answer, says something new of itself, or does not answer any more. */
  readonly onCapabilities?: OnCapabilities;
  /** For tests; in milliseconds. */
  readonly timing?: Partial<SidecarTiming>;
}

export interface SidecarRunner extends Runner {
  /** What the sidecars say of themselves; one that does not answer is not among them. */
  readonly capabilities: () => ReadonlyMap<Tool, SidecarCapabilities>;
}

const CONNECTS: Readonly<Record<Tool, ConnectTool>> = {
  rfdiffusion: connectRfdiffusion,
  proteinmpnn: connectProteinmpnn,
  boltz: connectBoltz,
  af2: connectAf2,
};

const TIMING: SidecarTiming = {
  connectMs: 10_000,
  pingAfterMs: 10_000,
  pingAnswerMs: 10_000,
  answerMs: 5_000,
  retryMs: 60_000,
  refreshMs: 300_000,
  suspectMs: 1_000,
};

/** Runs each step on its tool's sidecar (contract/grpc), and asks all of them what they can do, over and over. */
export function createSidecarRunner({
  endpoints,
  secureContext,
  putArtifact,
  log,
  tracing,
  onCapabilities = () => {},
  timing: given = {},
}: SidecarRunnerOptions): SidecarRunner {
  const timing = { ...TIMING, ...given };
  const upload = createUpload(putArtifact, log);
  const connections = TOOLS.map((tool) => createSidecarConnection(endpoints[tool], timing, secureContext));
  const transportOf = (index: number) => {
    const { transport } = connections[index]!;
    return tracing ? traceRuns(transport, tracing) : transport;
  };
  const clients = Object.fromEntries(TOOLS.map((tool, index) => [tool, CONNECTS[tool](transportOf(index))])) as Record<
    Tool,
    SidecarClient
  >;
  const watch = startCapabilityWatch({ clients, timing, onCapabilities, log });

  const work: Work = async (job, onProgress, signal) => {
    const call = clients[job.tool].prepare(job);
    try {
      const { artifacts, sequences, files } = await callSidecar(call, job, onProgress, signal);
      const stored: ArtifactRecord[] = [];
      for (const file of files) stored.push(await upload(job, file, signal));
      return { artifacts: [...artifacts, ...stored], sequences };
    } catch (error) {
      if (error instanceof StepFailure) tellOfFailure(error, job);
      throw error;
    }
  };

  function tellOfFailure({ fault, cause }: StepFailure, job: StepJob): void {
    const { tool, requestId: stepRun } = job;
    if (fault.code === 'UNAVAILABLE') watch.suspect(tool);
    // An upload's failure has been logged; a sidecar's own words are in the step.
    if (!cause || fault.code === 'ARTIFACT_UPLOAD_FAILED') return;
    log.warn(
      { err: cause, tool, step_run: stepRun, ...traceFields(job), code: fault.code },
      'a call to a sidecar failed',
    );
  }

  const runs = beginRuns(work, 'the sidecar runner was closed');

  async function close(): Promise<void> {
    watch.close();
    await runs.close();
    for (const connection of connections) connection.close();
  }

  return {
    run: runs.run,
    close,
    findFault: (step) => clients[step.tool].findFault(step),
    capabilities: () => watch.known,
  };
}
