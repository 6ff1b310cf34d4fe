import type { Workflow } from '../api.ts';

/** The list as it is shown. */
export interface ShownList {
  readonly rows: readonly Workflow[];
  /** Newer than the rows, and kept back so that nothing moves under the reader's eyes. */
  readonly held: readonly Workflow[];
  readonly hasMore: boolean;
}

/** The lists that were seen, by their query: going back to one shows it at once. */
export type ListMemory = Map<string, ShownList>;
export const createListMemory = (): ListMemory => new Map();

const FINAL: readonly string[] = ['SUCCEEDED', 'FAILED', 'CANCELLED'];

export const isOver = ({ state }: Pick<Workflow, 'state'>): boolean => FINAL.includes(state);

/**
 * The list after a refresh that read `fresh`. The rows keep their places: what is new on top is held back, and what has
 * fallen off the end of what was read stays. A row that is gone from the middle no longer matches.
 */
export function refreshed(
  shown: ShownList,
  fresh: { readonly workflows: readonly Workflow[]; readonly hasMore: boolean },
): ShownList {
  const { workflows, hasMore } = fresh;
  const ids = new Set(shown.rows.map(({ id }) => id));
  const firstKnown = workflows.findIndex(({ id }) => ids.has(id));
  if (firstKnown === -1) return { rows: workflows, held: [], hasMore };
  const rows = workflows.slice(firstKnown);
  const lastRead = shown.rows.findIndex(({ id }) => id === rows.at(-1)?.id);
  const fallenOff = hasMore && lastRead !== -1 ? shown.rows.slice(lastRead + 1) : [];
  return { rows: [...rows, ...fallenOff], held: workflows.slice(0, firstKnown), hasMore };
}
