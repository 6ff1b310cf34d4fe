import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { type Api, ApiFault } from '../api.ts';
import { isOver, type ListMemory, refreshed, type ShownList } from './list-memory.ts';
import type { ListFilter } from './list-query.ts';
import { createListReader } from './list-reader.ts';

const PAGE = 20;
const BUSY_MS = 3_000;
const QUIET_MS = 30_000;
const MAX_BACKOFF_MS = 60_000;

interface ListSource {
  readonly api: Api;
  readonly filter: ListFilter;
  readonly memory: ListMemory;
  /** Tells one filter from another. */
  readonly search: string;
}

/** The list, which refreshes itself while somebody can see it: often while something in it is not over. */
export function useWorkflowList({ api, filter, memory, search }: ListSource) {
  const [list, setList] = useState<ShownList | undefined>(() => memory.get(search));
  const [fault, setFault] = useState<unknown>();
  const [isLoadingMore, setLoadingMore] = useState(false);
  const shown = useRef(list);
  const reads = useRef({ more: async () => {}, again: () => {} });

  const show = useCallback(
    (next: ShownList) => {
      shown.current = next;
      memory.set(search, next);
      setList(next);
    },
    [memory, search],
  );

  // The search stands for the filter, which is another object each time.
  useEffect(() => {
    const ended = new AbortController();
    const readNewest = createListReader(api, filter);
    let timer: ReturnType<typeof setTimeout> | undefined;
    let failures = 0;
    let askedToWaitMs = 0;
    let isReading = false;

    async function read(count: number, apply: (fresh: Awaited<ReturnType<typeof readNewest>>) => ShownList) {
      clearTimeout(timer);
      isReading = true;
      try {
        show(apply(await readNewest(count, ended.signal)));
        failures = 0;
        askedToWaitMs = 0;
        setFault(undefined);
      } catch (error) {
        if (ended.signal.aborted) return;
        failures++;
        askedToWaitMs = (error instanceof ApiFault && error.retryAfterSeconds ? error.retryAfterSeconds : 0) * 1_000;
        setFault(error);
      } finally {
        isReading = false;
        if (!ended.signal.aborted) plan();
      }
    }

    function plan(): void {
      const isBusy = shown.current?.rows.some((workflow) => !isOver(workflow)) ?? true;
      const pauseMs = isBusy ? BUSY_MS : QUIET_MS;
      const backoffMs = Math.min(pauseMs * 2 ** failures, Math.max(pauseMs, MAX_BACKOFF_MS));
      clearTimeout(timer);
      timer = setTimeout(refresh, Math.max(backoffMs, askedToWaitMs));
    }

    function refresh(): void {
      // Whoever comes back to the page gets it fresh.
      if (document.hidden || isReading) return;
      const { rows = [], held = [] } = shown.current ?? {};
      const count = Math.max(PAGE, rows.length + held.length);
      void read(count, (fresh) => (shown.current ? refreshed(shown.current, fresh) : { ...asShown(fresh) }));
    }

    // What is remembered is replaced as a whole, for the reader has only now come to look at it.
    void read(Math.max(PAGE, shown.current?.rows.length ?? 0), asShown);
    document.addEventListener('visibilitychange', refresh);
    reads.current = {
      again: refresh,
      more: () => read((shown.current?.rows.length ?? 0) + (shown.current?.held.length ?? 0) + PAGE, asShown),
    };
    return () => {
      ended.abort();
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', refresh);
    };
  }, [api, search, show]);

  return {
    list,
    /** Why the last refresh failed; undefined while all is well. A refused filter is refused every time. */
    fault,
    isRefused: fault instanceof ApiFault && !fault.retryable && fault.status !== 0,
    isLoadingMore,
    async loadMore(): Promise<void> {
      setLoadingMore(true);
      await reads.current.more();
      setLoadingMore(false);
    },
    showHeld(): void {
      const { rows, held, hasMore } = shown.current!;
      show({ rows: [...held, ...rows], held: [], hasMore });
    },
    refresh: () => reads.current.again(),
  };
}

function asShown({ workflows, hasMore }: { workflows: ShownList['rows']; hasMore: boolean }): ShownList {
  return { rows: workflows, held: [], hasMore };
}
