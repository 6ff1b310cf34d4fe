import { useLayoutEffect, useMemo, useRef } from 'preact/hooks';
import type { Api } from '../api.ts';
import { FaultNotice } from '../fault-notice.tsx';
import { BASE, Link, navigate } from '../router.ts';
import { Filters } from './filters.tsx';
import type { ListMemory, ShownList } from './list-memory.ts';
import { type ListFilter, listPath, readFilter } from './list-query.ts';
import { ListStatus } from './list-status.tsx';
import { useWorkflowList } from './use-workflow-list.ts';
import { WorkflowRows } from './workflow-rows.tsx';
import './list.css';

interface ListPageProps {
  readonly api: Api;
  readonly search: string;
  readonly memory: ListMemory;
}

export function ListPage(props: ListPageProps) {
  const filter = useMemo(() => readFilter(props.search), [props.search]);
  const change = (next: ListFilter) => navigate(listPath(next));
  const heading = useRef<HTMLHeadingElement>(null);

  const lastSearch = useRef(props.search);
  useLayoutEffect(() => {
    const isNew = lastSearch.current !== props.search;
    lastSearch.current = props.search;
    // A label in the list is gone once the list is filtered by it.
    if (isNew && document.activeElement === document.body) heading.current!.focus({ preventScroll: true });
  }, [props.search]);

  return (
    <div class="stack">
      <div class="page-head">
        <h1 ref={heading} tabIndex={-1}>
          Workflows
        </h1>
        <Link class="button button-primary" href={`${BASE}submit`}>
          New workflow
        </Link>
      </div>
      <Filters filter={filter} onChange={change} />
      <List key={props.search} {...props} filter={filter} onChange={change} />
    </div>
  );
}

interface ListProps extends ListPageProps {
  readonly filter: ListFilter;
  readonly onChange: (filter: ListFilter) => void;
}

function List({ api, search, memory, filter, onChange }: ListProps) {
  const { list, fault, isRefused, isLoadingMore, loadMore, showHeld, refresh } = useWorkflowList({
    api,
    filter,
    memory,
    search,
  });
  const region = useRef<HTMLElement>(null);
  const links = () => region.current!.querySelectorAll<HTMLElement>('.listed-name');

  async function goOn(): Promise<void> {
    const before = links().length;
    await loadMore();
    // The button may be gone; the first of what it brought is where its reader wants to go on.
    requestAnimationFrame(() => links()[before]?.focus({ preventScroll: true }));
  }

  if (fault !== undefined && (isRefused || !list)) {
    return (
      <FaultNotice fault={fault}>
        <button type="button" class="button button-small" onClick={refresh}>
          Try again
        </button>
      </FaultNotice>
    );
  }
  return (
    <section ref={region} class="listed" aria-label="List of workflows" aria-busy={!list}>
      <ListStatus list={list} isFailing={fault !== undefined} onShowHeld={showHeld} />
      {list && <Content list={list} filter={filter} onChange={onChange} />}
      {list?.hasMore && (
        <button type="button" class="button load-more" aria-disabled={isLoadingMore} onClick={goOn}>
          {isLoadingMore ? 'Loading…' : 'Load more'}
        </button>
      )}
    </section>
  );
}

interface ContentProps {
  readonly list: ShownList;
  readonly filter: ListFilter;
  readonly onChange: (filter: ListFilter) => void;
}

function Content({ list, filter, onChange }: ContentProps) {
  if (list.rows.length > 0) return <WorkflowRows workflows={list.rows} filter={filter} />;
  const isFiltered = filter.state !== undefined || filter.labels.length > 0;
  return isFiltered ? (
    <div class="empty panel">
      <h2>Nothing matches</h2>
      <p class="quiet">No workflow has this state and all of these labels.</p>
      <button type="button" class="button" onClick={() => onChange({ state: undefined, labels: [] })}>
        Clear the filters
      </button>
    </div>
  ) : (
    <div class="empty panel">
      <h2>No workflows yet</h2>
      <p class="quiet">Submit one of the examples to see what happens.</p>
      <Link class="button button-primary" href={`${BASE}submit`}>
        Submit a workflow
      </Link>
    </div>
  );
}
