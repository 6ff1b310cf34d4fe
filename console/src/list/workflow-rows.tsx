import { useEffect, useState } from 'preact/hooks';
import { Age } from '../age.tsx';
import type { Workflow } from '../api.ts';
import { Link, workflowPath } from '../router.ts';
import { STATE_WORDS } from '../workflow/state-words.ts';
import { type ListFilter, listPath } from './list-query.ts';
import { stepProgress } from './step-progress.ts';

const WIDE = '(min-width: 56rem)';

interface WorkflowRowsProps {
  readonly workflows: readonly Workflow[];
  readonly filter: ListFilter;
}

/** A table where there is room for one, else cards. */
export function WorkflowRows({ workflows, filter }: WorkflowRowsProps) {
  return useMedia(WIDE) ? (
    <div class="panel panel-flush">
      <table class="table listed-table">
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">State</th>
            <th scope="col">Steps</th>
            <th scope="col">Labels</th>
            <th scope="col" class="number">
              Submitted
            </th>
          </tr>
        </thead>
        <tbody>
          {workflows.map((workflow) => (
            <tr key={workflow.id}>
              <td>
                <Name workflow={workflow} />
              </td>
              <td>
                <State state={workflow.state} />
              </td>
              <td>
                <Progress workflow={workflow} />
              </td>
              <td>
                <Labels labels={workflow.labels} filter={filter} />
              </td>
              <td class="number quiet small">{workflow.created_at && <Age at={workflow.created_at} />}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  ) : (
    <ul class="listed-cards">
      {workflows.map((workflow) => (
        <li key={workflow.id} class="panel listed-card">
          <div class="listed-card-head">
            <Name workflow={workflow} />
            <State state={workflow.state} />
          </div>
          <Progress workflow={workflow} />
          <div class="listed-card-foot">
            <Labels labels={workflow.labels} filter={filter} />
            <span class="quiet small">{workflow.created_at && <Age at={workflow.created_at} />}</span>
          </div>
        </li>
      ))}
    </ul>
  );
}

function Name({ workflow: { id, name } }: { readonly workflow: Workflow }) {
  return (
    <div class="listed-title">
      <Link class="listed-name" href={workflowPath(id)} title={name}>
        {name || 'Without a name'}
      </Link>
      <span class="mono quiet listed-id" title={id}>
        {id.slice(0, 8)}
      </span>
    </div>
  );
}

function State({ state }: Pick<Workflow, 'state'>) {
  return (
    <span class="badge" data-state={state}>
      {STATE_WORDS[state]}
    </span>
  );
}

function Progress({ workflow }: { readonly workflow: Workflow }) {
  const { done, total, fraction } = stepProgress(workflow);
  return (
    <div class="listed-progress">
      <progress value={fraction} max={1} aria-label={`Progress of ${workflow.name}`} />
      <span class="small quiet">
        {done}/{total}
      </span>
    </div>
  );
}

/** Each label is a link to the list of what has it too. */
function Labels({ labels, filter }: { readonly labels: Workflow['labels']; readonly filter: ListFilter }) {
  return (
    <ul class="chips">
      {Object.entries(labels).map(([key, value]) => {
        const label = `${key}=${value}`;
        const all = filter.labels.includes(label) ? filter.labels : [...filter.labels, label];
        return (
          <li key={key}>
            <Link class="chip" href={listPath({ ...filter, labels: all })} title={`Only with ${label}`}>
              {label}
            </Link>
          </li>
        );
      })}
    </ul>
  );
}

function useMedia(query: string): boolean {
  const [media] = useState(() => matchMedia(query));
  const [matches, setMatches] = useState(media.matches);
  useEffect(() => {
    const update = () => setMatches(media.matches);
    media.addEventListener('change', update);
    return () => media.removeEventListener('change', update);
  }, [media]);
  return matches;
}
