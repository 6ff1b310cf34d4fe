import type { Api, Step, StepStatus } from '../api.ts';
import { toFile } from './artifact-files.ts';
import { Artifacts } from './artifacts.tsx';
import { Elapsed } from './elapsed.tsx';
import { Fact } from './fact.tsx';
import { toRow } from './fasta.ts';
import { formatInstant, formatShare } from './figures.ts';
import { ScrollBox } from './scroll-box.tsx';
import { Sequences } from './sequences.tsx';
import { STATE_WORDS } from './state-words.ts';

interface StepPanelProps {
  readonly api: Api;
  readonly workflowId: string;
  readonly step: Step;
  readonly status: StepStatus | undefined;
}

/** Everything about one step: what it was asked to do, how far it is, and what it has made. */
export function StepPanel({ api, workflowId, step, status }: StepPanelProps) {
  const { state = 'QUEUED', fraction = 0, outputs = [], sequences = [], error, started_at, finished_at } = status ?? {};
  return (
    <section class="step-panel stack" aria-label={`Step ${step.id}`}>
      <header class="step-head">
        <h2>{step.id}</h2>
        <span class="badge" data-state={state}>
          {STATE_WORDS[state]}
        </span>
        <div class="step-progress">
          <progress aria-label={`Progress of ${step.id}`} max={1} value={fraction} />
          <span class="step-share small quiet">{formatShare(fraction)}</span>
        </div>
      </header>
      <div class="step-columns">
        <dl class="facts">
          <Fact term="Tool">{step.tool}</Fact>
          <Fact term="Waits for">{step.depends_on.length > 0 ? step.depends_on.join(', ') : 'nothing'}</Fact>
          <Fact term="Started">{formatInstant(started_at) ?? <span class="quiet">not yet</span>}</Fact>
          <Fact term="Finished">{formatInstant(finished_at) ?? <span class="quiet">not yet</span>}</Fact>
          <Fact term="Duration">
            <Elapsed from={started_at} to={finished_at} />
          </Fact>
          <Fact term="Resources">{resourcesText(step.resources)}</Fact>
        </dl>
        <div>
          <h3 class="small">Parameters</h3>
          <ScrollBox class="json" label={`Parameters of ${step.id}`}>
            <pre>{JSON.stringify(step.params, null, 2)}</pre>
          </ScrollBox>
        </div>
      </div>
      {error && (
        <div class="notice" data-kind="error">
          <p>
            <strong>{error.code}</strong>: {error.message}
          </p>
          <p class="small quiet">{error.retryable ? 'Trying again can help.' : 'Trying again does not help.'}</p>
        </div>
      )}
      {outputs.length > 0 && (
        <div>
          <h3>Files</h3>
          <Artifacts
            api={api}
            workflowId={workflowId}
            files={outputs.map((artifact) => toFile(step.id, artifact))}
            label={`Files of ${step.id}`}
          />
        </div>
      )}
      {sequences.length > 0 && (
        <div>
          <h3>Sequences</h3>
          <Sequences rows={sequences.map((sequence) => toRow(step.id, sequence))} label={`Sequences of ${step.id}`} />
        </div>
      )}
    </section>
  );
}

function resourcesText(resources: Step['resources']): string {
  if (!resources) return 'as the tool needs';
  const { gpu_count, gpu_type, cpu_cores, memory_mb, timeout_seconds } = resources;
  const parts = [
    gpu_count !== undefined && `${gpu_count} × ${gpu_type ?? 'GPU'}`,
    cpu_cores !== undefined && `${cpu_cores} cores`,
    memory_mb !== undefined && `${memory_mb} MB of memory`,
    timeout_seconds !== undefined && `${timeout_seconds} s at the most`,
  ];
  return parts.filter(Boolean).join(', ') || 'as the tool needs';
}
