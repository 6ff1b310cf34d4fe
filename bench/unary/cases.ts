import type { BackendAnswer } from '../support/backend.ts';

export type CaseName = 'get' | 'post' | 'list';

/** One kind of request, which every program is sent in the same way. */
export interface Case {
  readonly name: CaseName;
  readonly label: string;
  readonly method: string;
  readonly paths: readonly string[];
  readonly body?: string;
  readonly status: number;
  /** Whether its API keys have a quota. */
  readonly isLimited: boolean;
}

/** How many workflows there are: all of them are one page. */
export const WORKFLOWS = 20;

const SUBMISSION = {
  name: 'binder design',
  labels: { project: 'bench', target: '6M0J' },
  steps: [
    {
      id: 'backbone',
      tool: 'rfdiffusion',
      params: { contigs: 'A1-150/0 70-100', hotspots: ['A59', 'A83', 'A91'], num_designs: 2 },
      resources: { gpu_type: 'A100', memory_mb: 32_768, timeout_seconds: 3_600 },
    },
    {
      id: 'sequence',
      tool: 'proteinmpnn',
      depends_on: ['backbone'],
      params: { num_sequences: 8, sampling_temp: 0.125 },
      resources: { cpu_cores: 4 },
    },
    {
      id: 'fold',
      tool: 'boltz',
      depends_on: ['sequence'],
      params: { recycling_steps: 3, diffusion_samples: 1, potentials: null },
    },
    { id: 'check', tool: 'af2', depends_on: ['sequence'], params: { num_models: 1, relax: { steps: 0, gpu: false } } },
  ],
};

export function createCases({ workflowIds }: BackendAnswer): readonly Case[] {
  return [
    {
      name: 'get',
      label: 'GET',
      method: 'GET',
      paths: workflowIds.map((id) => `/v1/workflows/${id}`),
      status: 200,
      isLimited: false,
    },
    {
      name: 'post',
      label: 'POST',
      method: 'POST',
      paths: ['/v1/workflows'],
      body: JSON.stringify(SUBMISSION),
      status: 201,
      isLimited: true,
    },
    {
      name: 'list',
      label: `list of ${WORKFLOWS}`,
      method: 'GET',
      paths: [`/v1/workflows?page_size=${WORKFLOWS}`],
      status: 200,
      isLimited: false,
    },
  ];
}
