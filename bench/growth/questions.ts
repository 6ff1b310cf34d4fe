import { create } from '@bufbuild/protobuf';
import { KNOWN_LABELS as labels, principalAt } from '../../scripts/fill/distributions.ts';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import {
  ListWorkflowsRequestSchema,
  WorkflowSpecSchema,
} from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import type { Acceptance } from '../../src/orchestrator/engine/acceptance.ts';
import { listPage } from '../../src/orchestrator/list-page.ts';
import type { Queryable } from '../../src/orchestrator/store/database.ts';
import { readEvents } from '../../src/orchestrator/store/events.ts';
import { findWorkflow } from '../../src/orchestrator/store/workflows.ts';

/** What the engine reads of a history at a time. */
const BATCH = { limit: 100, maxBytes: 1024 * 1024 };
/** Few enough that a thousand workflows have them. */
const FEW = 3;
const PAGE = 20;

/** A list, of a principal (undefined: of all) with these labels. */
export interface Middle {
  readonly principal: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
}

export interface Asked {
  readonly db: Queryable;
  readonly acceptance: Acceptance;
  /** The id of a workflow that is over, another one each time. */
  readonly anyId: () => string;
  /** The page token of what comes after the middle of a list. */
  readonly middleOf: (list: Middle) => Promise<string>;
}

/** One thing that callers ask for. */
export interface Question {
  readonly name: string;
  readonly label: string;
  /** Answers how many workflows or events there were. */
  readonly ask: (asked: Asked) => Promise<number>;
}

interface Selection {
  readonly principal?: string;
  readonly state?: JobState;
  readonly labels?: Readonly<Record<string, string>>;
  readonly deep?: boolean;
  readonly size?: number;
}

const first = principalAt(0);

function list(name: string, label: string, { principal, state, labels = {}, deep, size = PAGE }: Selection): Question {
  return {
    name,
    label: `list: ${label}`,
    async ask({ db, middleOf }) {
      const pageToken = deep ? await middleOf({ principal, labels }) : '';
      const filter = { labelSelector: { ...labels }, ...(state !== undefined && { stateFilter: state }) };
      const request = create(ListWorkflowsRequestSchema, { pageSize: size, pageToken, ...filter });
      return (await listPage(db, principal, request)).page.length;
    },
  };
}

export const QUESTIONS: readonly Question[] = [
  list('all', 'all', {}),
  list('allDeep', 'all, from the middle', { deep: true }),
  list('owner', 'an owner', { principal: first }),
  list('ownerDeep', 'an owner, from the middle', { principal: first, deep: true }),
  list('labelRare', 'a rare label', { labels: labels.rare, size: FEW }),
  list('labelTenth', 'a label that a tenth have', { labels: labels.tenth }),
  list('labelTenthDeep', 'the same, from the middle', { labels: labels.tenth, deep: true }),
  list('labelOldest', 'a label that the oldest tenth have', { labels: labels.oldestTenth }),
  list('labelAll', 'a label that all have', { labels: labels.all }),
  list('labelsTwo', 'two labels, one of them rare', { labels: { ...labels.all, ...labels.rare }, size: FEW }),
  list('ownerRare', 'an owner and a rare label', { principal: first, labels: labels.rare, size: FEW }),
  list('ownerTenth', 'an owner and a label of a tenth', { principal: first, labels: labels.tenth, size: FEW }),
  list('ownerOldest', 'an owner and a label of the oldest', {
    principal: first,
    labels: labels.oldestTenth,
    size: FEW,
  }),
  list('ownerAll', 'an owner and a label of all', { principal: first, labels: labels.all }),
  list('failed', 'what has failed', { state: JobState.FAILED }),
  list('running', 'what is running', { state: JobState.RUNNING }),
  list('succeeded', 'what has succeeded', { state: JobState.SUCCEEDED }),
  list('ownerFailed', 'an owner, failed', { principal: first, state: JobState.FAILED, size: FEW }),
  list('tenthFailed', 'a label of a tenth, failed', { labels: labels.tenth, state: JobState.FAILED, size: FEW }),
  list('allRunning', 'a label of all, running', { labels: labels.all, state: JobState.RUNNING }),
  {
    name: 'get',
    label: 'get',
    ask: async ({ db, anyId }) => ((await findWorkflow(db, anyId(), undefined)) ? 1 : 0),
  },
  {
    name: 'submit',
    label: 'submit',
    async ask({ acceptance }) {
      const spec = create(WorkflowSpecSchema, {
        name: 'growth',
        // No list that is asked for has it.
        labels: { site: 'bench', project: 'bench' },
        steps: [
          { id: 'a', tool: 'rfdiffusion' },
          { id: 'b', tool: 'proteinmpnn', dependsOn: ['a'] },
        ],
      });
      const call = { principal: 'bench', idempotency: undefined, keyHash: undefined, traceparent: undefined };
      await acceptance.accept({ spec, ...call });
      return 1;
    },
  },
  { name: 'replay', label: 'replay', ask: async ({ db, anyId }) => await replay(db, anyId(), 0n) },
  {
    name: 'replayMiddle',
    label: 'replay from the middle',
    ask: async ({ db, anyId }) => await replay(db, anyId(), 4n),
  },
];

/** Reads what the engine reads for a stream that begins after the event `cursor` of a workflow that is over. */
async function replay(db: Queryable, id: string, cursor: bigint): Promise<number> {
  const workflow = await findWorkflow(db, id, undefined);
  const batch = workflow && (await readEvents(db, id, cursor, BATCH));
  return batch ? 1 : 0;
}
