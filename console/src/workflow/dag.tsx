import { useLayoutEffect, useMemo, useRef } from 'preact/hooks';
import type { StepStatus, Workflow } from '../api.ts';
import { formatShare } from './figures.ts';
import { DAG_SIZES, type DagEdge, layoutDag, type PlacedStep } from './layout-dag.ts';
import { StateIcon } from './state-icon.tsx';
import { STATE_WORDS } from './state-words.ts';
import { walkDag } from './walk-dag.ts';
import './dag.css';

interface DagProps {
  readonly workflow: Workflow;
  readonly selected: string;
  readonly onSelect: (stepId: string) => void;
}

/** The workflow's steps and what they wait for, drawn from left to right. Arrow keys go from step to step. */
export function Dag({ workflow, selected, onSelect }: DagProps) {
  const { steps, step_statuses } = workflow;
  // The shape of a workflow never changes, but every event brings new objects.
  const shape = JSON.stringify(steps.map(({ id, depends_on }) => ({ id, depends_on })));
  const layout = useMemo(() => layoutDag(JSON.parse(shape)), [shape]);
  const box = useRef<HTMLDivElement>(null);
  const statuses = new Map(step_statuses.map((status) => [status.step_id, status]));
  const tools = new Map(steps.map(({ id, tool }) => [id, tool]));
  const { stepWidth, stepHeight } = DAG_SIZES;

  useLayoutEffect(() => {
    const step = layout.steps.find(({ id }) => id === selected);
    if (step) showInside(box.current!.parentElement!, step);
  }, [layout, selected]);

  function walk(event: KeyboardEvent, from: string): void {
    const next = walkDag(layout, from, event.key);
    if (next === undefined) return;
    event.preventDefault();
    onSelect(next);
    box.current?.querySelector<HTMLElement>(`[data-step="${CSS.escape(next)}"]`)?.focus();
  }

  return (
    <div class="dag-scroll">
      {/* biome-ignore lint/a11y/useSemanticElements: a fieldset is for fields. */}
      <div
        ref={box}
        class="dag"
        role="group"
        aria-label="Steps"
        style={{ width: `${layout.width}px`, height: `${layout.height}px` }}
      >
        <svg class="dag-edges" width={layout.width} height={layout.height} aria-hidden="true">
          <path d={layout.edges.map(toPath).join('')} />
          <path
            class="dag-edges-near"
            d={layout.edges
              .filter((edge) => touches(edge, selected))
              .map(toPath)
              .join('')}
          />
        </svg>
        {layout.steps.map(({ id, x, y }) => {
          const status = statuses.get(id);
          return (
            <button
              key={id}
              type="button"
              class="dag-step"
              title={id}
              data-step={id}
              data-state={status?.state ?? 'QUEUED'}
              aria-pressed={id === selected}
              tabIndex={id === selected ? 0 : -1}
              style={{ left: `${x}px`, top: `${y}px`, width: `${stepWidth}px`, height: `${stepHeight}px` }}
              onClick={() => onSelect(id)}
              onKeyDown={(event) => walk(event, id)}
            >
              <StateIcon state={status?.state ?? 'QUEUED'} />
              <span class="dag-id">
                <span class="visually-hidden">Step </span>
                {id}
              </span>
              <span class="dag-line">
                <span class="dag-tool">{tools.get(id)}</span>
                <span>{wordOf(status)}</span>
              </span>
              <span class="dag-bar">
                <span style={{ width: `${(status?.fraction ?? 0) * 100}%` }} />
              </span>
            </button>
          );
        })}
      </div>
      {layout.hiddenEdges > 0 && (
        <p class="small quiet">{layout.hiddenEdges} dependencies that follow from others are not drawn.</p>
      )}
    </div>
  );
}

/** Scrolls the box alone, and only if the step is not in sight. */
function showInside(scroll: HTMLElement, { x, y }: PlacedStep): void {
  const { scrollLeft, scrollTop, clientWidth, clientHeight } = scroll;
  const { stepWidth, stepHeight } = DAG_SIZES;
  if (x < scrollLeft || x + stepWidth > scrollLeft + clientWidth) scroll.scrollLeft = x - (clientWidth - stepWidth) / 2;
  if (y < scrollTop || y + stepHeight > scrollTop + clientHeight)
    scroll.scrollTop = y - (clientHeight - stepHeight) / 2;
}

function wordOf(status: StepStatus | undefined): string {
  const { state = 'QUEUED', fraction = 0 } = status ?? {};
  return state === 'RUNNING' ? `${STATE_WORDS[state]} ${formatShare(fraction)}` : STATE_WORDS[state];
}

function touches({ from, to }: DagEdge, step: string): boolean {
  return from === step || to === step;
}

/** A line that leaves and enters every layer level, and bends in between. */
function toPath({ points }: DagEdge): string {
  return points
    .map(([x, y], index) => {
      if (index === 0) return `M${x} ${y}`;
      const [fromX, fromY] = points[index - 1]!;
      const middle = (fromX + x) / 2;
      return fromY === y ? `H${x}` : `C${middle} ${fromY} ${middle} ${y} ${x} ${y}`;
    })
    .join('');
}
