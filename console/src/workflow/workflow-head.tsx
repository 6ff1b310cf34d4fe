import type { Workflow } from '../api.ts';
import { countDone } from './announcements.ts';
import { isOver } from './apply-event.ts';
import { CopyButton } from './copy-button.tsx';
import { Elapsed } from './elapsed.tsx';
import { Fact } from './fact.tsx';
import { formatInstant } from './figures.ts';
import { STATE_WORDS } from './state-words.ts';

/** What the workflow is called and how far it is. */
export function WorkflowHead({ workflow }: { readonly workflow: Workflow }) {
  const { id, name, state, steps, step_statuses, labels, created_at, updated_at } = workflow;
  const done = step_statuses.reduce((sum, { fraction }) => sum + fraction, 0) / Math.max(1, steps.length);
  return (
    <header class="workflow-head">
      <div class="workflow-title">
        <h1 tabIndex={-1}>{name || 'Without a name'}</h1>
        <span class="badge" data-state={state}>
          {STATE_WORDS[state]}
        </span>
      </div>
      <div class="workflow-progress">
        <progress aria-label="Progress of the workflow" max={1} value={done} />
        <span class="small quiet">
          {countDone(workflow)} of {steps.length} steps
        </span>
      </div>
      <dl class="facts facts-row">
        <Fact term="Created">{formatInstant(created_at) ?? 'unknown'}</Fact>
        <Fact term={isOver(workflow) ? 'Took' : 'Has taken'}>
          <Elapsed from={created_at} to={isOver(workflow) ? updated_at : undefined} />
        </Fact>
        <Fact term="Id">
          <code class="workflow-id">{id}</code>
          <CopyButton text={id} what="the id" />
        </Fact>
      </dl>
      {Object.keys(labels).length > 0 && (
        <ul class="chips" aria-label="Labels">
          {Object.entries(labels).map(([key, value]) => (
            <li key={key} class="chip">
              {key}={value}
            </li>
          ))}
        </ul>
      )}
    </header>
  );
}
