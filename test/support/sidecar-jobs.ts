import type { PlannedStep, Resources, StepJob, StepOutput, Tool } from '../../src/orchestrator/runners/runner.ts';

export const NO_RESOURCES: Resources = { gpuType: '', gpuCount: 0, cpuCores: 0, memoryMb: 0, timeoutSeconds: 0 };

/** One step for the sidecar runner, which asks for nothing and has no inputs unless `given` says so. */
export function sidecarJob(tool: Tool, given: Partial<StepJob> = {}): StepJob {
  const { workflowId = 'workflow', stepId = 'step', attempt = 1 } = given;
  return {
    requestId: `${workflowId}/${stepId}#${attempt}`,
    workflowId,
    stepId,
    attempt,
    tool,
    params: tool === 'rfdiffusion' ? { contigs: '70-90' } : {},
    resources: NO_RESOURCES,
    traceparent: undefined,
    inputs: {},
    ...given,
  };
}

export function plannedStep(tool: Tool, given: Partial<PlannedStep> = {}): PlannedStep {
  return { tool, params: {}, resources: NO_RESOURCES, inputTools: [], ...given };
}

export function structureOutput(
  name: string,
  metrics: Readonly<Record<string, number>> = {},
  contentType = 'chemical/x-pdb',
): StepOutput {
  const uri = `r2://bucket/artifacts/${name}.pdb`;
  return { artifacts: [{ uri, contentType, sizeBytes: 10, sha256: '', metrics }], sequences: [] };
}

export function sequencesOutput(
  ...sequences: readonly (readonly [residues: string, globalScore: number])[]
): StepOutput {
  return {
    artifacts: [],
    sequences: sequences.map(([residues, globalScore], index) => {
      return { fasta: `>designed\n${residues}\n`, globalScore, seqRecovery: 0.5, sampleIndex: index + 1 };
    }),
  };
}
