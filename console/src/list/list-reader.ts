import type { Api, Workflow, WorkflowList } from '../api.ts';
import type { ListFilter } from './list-query.ts';

const MAX_PAGE_SIZE = 100;

export interface NewestWorkflows {
  readonly workflows: readonly Workflow[];
  readonly hasMore: boolean;
}

/** Reads the newest workflows that match. What has not changed since the last time is not sent again. */
export function createListReader(api: Pick<Api, 'listWorkflows'>, filter: ListFilter) {
  let known = new Map<string, { readonly etag: string | undefined; readonly list: WorkflowList }>();

  /** At least `count` of them, where there are so many. Throws an ApiFault, or the signal's reason. */
  return async function readNewest(count: number, signal: AbortSignal): Promise<NewestWorkflows> {
    const used: typeof known = new Map();
    const workflows: Workflow[] = [];
    let pageToken: string | undefined;
    do {
      const pageSize = Math.min(MAX_PAGE_SIZE, count - workflows.length);
      const page = `${pageSize} ${pageToken}`;
      const before = known.get(page);
      const answer = await api.listWorkflows({ ...filter, pageSize, pageToken }, { etag: before?.etag, signal });
      const now = answer ?? before;
      if (!now) throw new Error('the gateway says that nothing has changed, but nothing was known');
      used.set(page, now);
      workflows.push(...now.list.workflows);
      pageToken = now.list.next_page_token;
    } while (pageToken !== undefined && workflows.length < count);
    known = used;
    return { workflows, hasMore: pageToken !== undefined };
  };
}
