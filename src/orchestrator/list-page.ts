import { JobState } from '../gen/foldforge/common/v1/common_pb.ts';
import type { ListWorkflowsRequest } from '../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { invalidArgument } from './errors.ts';
import type { Queryable } from './store/database.ts';
import { type ListQuery, listWorkflows } from './store/workflow-list.ts';
import type { State, WorkflowWithSteps } from './store/workflows.ts';
import { stateOf } from './wire.ts';

const DEFAULT_PAGE_SIZE = 20;
const MAX_PAGE_SIZE = 100;
// A page is one message, which the gateway holds in memory as a whole.
const MAX_PAGE_SPEC_BYTES = 8 * 1024 * 1024;

export interface Page {
  readonly page: readonly WorkflowWithSteps[];
  /** Empty on the last page. */
  readonly nextPageToken: string;
}

/**
 * Newest first; shorter than asked for when the specs are large. Throws INVALID_ARGUMENT for a page token that this
 * function did not make.
 */
export async function listPage(
  db: Queryable,
  principal: string | undefined,
  { pageSize, pageToken, stateFilter, labelSelector }: ListWorkflowsRequest,
): Promise<Page> {
  const size = Math.min(pageSize || DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE);
  const { workflows: page, more } = await listWorkflows(db, {
    principal,
    state: readState(stateFilter),
    labels: labelSelector,
    after: pageToken ? readToken(pageToken) : undefined,
    limit: size,
    maxSpecBytes: MAX_PAGE_SPEC_BYTES,
  });
  return { page, nextPageToken: more ? writeToken(page.at(-1)!) : '' };
}

function readState(filter: JobState | undefined): State | undefined {
  if (filter === undefined || filter === JobState.UNSPECIFIED) return undefined;
  const state = stateOf(filter);
  if (!state) throw invalidArgument(`state_filter ${filter} is no job state`);
  return state;
}

function writeToken({ createdUs, id }: WorkflowWithSteps): string {
  return Buffer.from(`${createdUs}.${id}`).toString('base64url');
}

function readToken(token: string): NonNullable<ListQuery['after']> {
  const match = /^(\d{1,17})\.([\x21-\x7e]{1,100})$/.exec(Buffer.from(token, 'base64url').toString());
  if (!match) throw invalidArgument('page_token is not one that a list has answered');
  return { createdUs: BigInt(match[1]!), id: match[2]! };
}
