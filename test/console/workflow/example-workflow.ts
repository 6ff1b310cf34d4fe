import type { Artifact, Step, StepStatus, Workflow } from '../../../console/src/api.ts';

export function exampleStep(id: string, depends_on: string[] = []): Step {
  return { id, tool: 'boltz', depends_on, params: {} };
}

export function exampleStatus(step_id: string, status: Partial<StepStatus> = {}): StepStatus {
  return { step_id, state: 'QUEUED', fraction: 0, outputs: [], sequences: [], ...status };
}

export function exampleArtifact(artifact: Partial<Artifact> = {}): Artifact {
  return {
    uri: 'r2://foldforge/artifacts/a.pdb',
    content_type: 'chemical/x-pdb',
    size_bytes: 3,
    sha256: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    metrics: {},
    ...artifact,
  };
}

/** A workflow whose steps wait for each other in a row, all of them queued. */
export function exampleWorkflow(ids: readonly string[], workflow: Partial<Workflow> = {}): Workflow {
  return {
    id: 'w',
    name: 'example',
    state: 'QUEUED',
    steps: ids.map((id, index) => exampleStep(id, ids.slice(Math.max(0, index - 1), index))),
    step_statuses: ids.map((id) => exampleStatus(id)),
    labels: {},
    created_at: '2026-01-15T09:30:00Z',
    updated_at: '2026-01-15T09:30:00Z',
    ...workflow,
  };
}
