import { useEffect, useState } from 'preact/hooks';
import { type Api, ApiFault, type Workflow } from '../api.ts';
import { FaultNotice } from '../fault-notice.tsx';
import { BASE, Link } from '../router.ts';
import { filesOf } from './artifact-files.ts';
import { Artifacts } from './artifacts.tsx';
import { ConnectionStatus } from './connection-status.tsx';
import { Dag } from './dag.tsx';
import { sequencesOf } from './fasta.ts';
import { RankingPanel } from './ranking.tsx';
import { Sequences } from './sequences.tsx';
import { SpecView } from './spec-view.tsx';
import { StepPanel } from './step-panel.tsx';
import { Tabs } from './tabs.tsx';
import { useWorkflow } from './use-workflow.ts';
import { WorkflowActions } from './workflow-actions.tsx';
import { WorkflowHead } from './workflow-head.tsx';
import './workflow.css';
import './details.css';

interface WorkflowPageProps {
  readonly api: Api;
  readonly workflowId: string;
}

/** One workflow, as it happens. */
export function WorkflowPage({ api, workflowId }: WorkflowPageProps) {
  const view = useWorkflow(api, workflowId);
  const { workflow, status, fault, announcement, take, again } = view;
  const name = workflow?.name;
  useEffect(() => {
    if (name !== undefined) document.title = `${name} · FoldForge`;
  }, [name]);

  if (!workflow) return fault === undefined ? <Reading /> : <Unreadable fault={fault} onAgain={again} />;
  return (
    <div class="workflow-page stack">
      <WorkflowHead workflow={workflow} />
      <div class="workflow-bar">
        <ConnectionStatus status={status} onAgain={again} />
        <WorkflowActions api={api} workflow={workflow} onDone={take} />
      </div>
      <p class="visually-hidden" aria-live="polite">
        {announcement}
      </p>
      <Parts api={api} workflow={workflow} />
    </div>
  );
}

type TabName = 'step' | 'files' | 'sequences' | 'ranking' | 'spec';

/** The graph, and one thing at a time below it: so nothing on the page is pushed away by what comes in. */
function Parts({ api, workflow }: { readonly api: Api; readonly workflow: Workflow }) {
  const { id, steps, step_statuses } = workflow;
  const [selected, setSelected] = useState(() => mostInteresting(workflow));
  const [tab, setTab] = useState<TabName>('step');
  const step = steps.find((other) => other.id === selected) ?? steps[0];
  const files = filesOf(workflow);
  const sequences = sequencesOf(workflow);
  const tabs = [
    { name: 'step', title: 'Step' },
    { name: 'files', title: 'Files', count: files.length },
    { name: 'sequences', title: 'Sequences', count: sequences.length },
    { name: 'ranking', title: 'Ranking' },
    { name: 'spec', title: 'Specification' },
  ] as const;
  const select = (stepId: string) => {
    setSelected(stepId);
    setTab('step');
  };
  return (
    <>
      <section class="panel dag-panel" aria-label="Graph of the steps">
        <Dag workflow={workflow} selected={step?.id ?? ''} onSelect={select} />
      </section>
      <Tabs label="Details" tabs={tabs} selected={tab} onSelect={setTab}>
        {tab === 'step' && step && (
          <StepPanel
            key={step.id}
            api={api}
            workflowId={id}
            step={step}
            status={step_statuses.find(({ step_id }) => step_id === step.id)}
          />
        )}
        {tab === 'files' && <Artifacts api={api} workflowId={id} files={files} label="Files" showsStep />}
        {tab === 'sequences' && <Sequences rows={sequences} label="Sequences" showsStep />}
        {tab === 'ranking' && <RankingPanel api={api} workflow={workflow} />}
        {tab === 'spec' && <SpecView workflow={workflow} />}
      </Tabs>
    </>
  );
}

/** Which step is shown first: one that has failed, else one that runs, else the first. */
function mostInteresting({ steps, step_statuses }: Workflow): string {
  const inState = (wanted: string) => step_statuses.find(({ state }) => state === wanted)?.step_id;
  return inState('FAILED') ?? inState('RUNNING') ?? steps[0]?.id ?? '';
}

function Reading() {
  return (
    <div class="workflow-page stack" aria-busy="true">
      <h1 tabIndex={-1}>Workflow</h1>
      <p class="quiet" role="status">
        Reading the workflow…
      </p>
    </div>
  );
}

function Unreadable({ fault, onAgain }: { readonly fault: unknown; readonly onAgain: () => void }) {
  const isMissing = fault instanceof ApiFault && fault.status === 404;
  return (
    <div class="workflow-page stack">
      <h1 tabIndex={-1}>{isMissing ? 'No such workflow' : 'Workflow'}</h1>
      <FaultNotice fault={fault}>
        {isMissing && <p>It may belong to another key, or may have been removed after its time.</p>}
      </FaultNotice>
      <div class="buttons">
        {!isMissing && (
          <button type="button" class="button" onClick={onAgain}>
            Try again
          </button>
        )}
        <Link class="button" href={BASE}>
          All workflows
        </Link>
      </div>
    </div>
  );
}
