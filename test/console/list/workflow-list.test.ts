import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Api, ListQuery, Workflow } from '../../../console/src/api.ts';
import { isOver, refreshed } from '../../../console/src/list/list-memory.ts';
import { createListReader } from '../../../console/src/list/list-reader.ts';
import { stepProgress } from '../../../console/src/list/step-progress.ts';

const workflow = (id: string, state: Workflow['state'] = 'RUNNING'): Workflow => ({
  id,
  name: id,
  state,
  steps: [],
  step_statuses: [],
  labels: {},
});
const ids = (workflows: readonly Workflow[]) => workflows.map(({ id }) => id);

/** The API over these workflows, newest first; a page token is the id of the last one before, and an ETag the whole page. */
function apiOver(stored: Workflow[]) {
  const asked: (ListQuery & { readonly etag: string | undefined })[] = [];
  const listWorkflows: Api['listWorkflows'] = async (query = {}, { etag } = {}) => {
    asked.push({ ...query, etag });
    const { pageSize = 20, pageToken, state } = query;
    const matching = stored.filter((one) => state === undefined || one.state === state);
    const start = pageToken === undefined ? 0 : matching.findIndex(({ id }) => id === pageToken) + 1;
    const workflows = matching.slice(start, start + pageSize);
    const hasMore = start + pageSize < matching.length;
    const list = { workflows, ...(hasMore && { next_page_token: workflows.at(-1)!.id }) };
    const tag = JSON.stringify(list);
    return etag === tag ? undefined : { list, etag: tag };
  };
  return { asked, listWorkflows };
}

const NO_FILTER = { state: undefined, labels: [] };
const signal = new AbortController().signal;

describe('createListReader', () => {
  it('reads as many pages as it takes', async () => {
    const stored = Array.from({ length: 250 }, (_, index) => workflow(`w${index}`));
    const { asked, listWorkflows } = apiOver(stored);
    const readNewest = createListReader({ listWorkflows }, NO_FILTER);
    for (const count of [20, 100, 101, 240, 250, 300]) {
      const { workflows, hasMore } = await readNewest(count, signal);
      assert.deepEqual(ids(workflows), ids(stored.slice(0, count)), `${count}`);
      assert.equal(hasMore, count < 250);
    }
    assert.ok(asked.every(({ pageSize = 0 }) => pageSize >= 1 && pageSize <= 100));
  });

  it('asks only for what has changed', async () => {
    const stored = Array.from({ length: 150 }, (_, index) => workflow(`w${index}`));
    const { asked, listWorkflows } = apiOver(stored);
    const readNewest = createListReader({ listWorkflows }, NO_FILTER);
    await readNewest(150, signal);
    assert.deepEqual(
      asked.map(({ etag }) => etag !== undefined),
      [false, false],
    );
    const { workflows } = await readNewest(150, signal);
    assert.deepEqual(
      asked.slice(2).map(({ etag }) => etag !== undefined),
      [true, true],
    );
    assert.deepEqual(ids(workflows), ids(stored));
    stored[0] = workflow('w0', 'FAILED');
    assert.equal((await readNewest(150, signal)).workflows[0]!.state, 'FAILED');
  });

  it('passes the filter on', async () => {
    const { asked, listWorkflows } = apiOver([workflow('a', 'FAILED'), workflow('b')]);
    const filter = { state: 'FAILED', labels: ['a=b'] };
    const { workflows } = await createListReader({ listWorkflows }, filter)(20, signal);
    assert.deepEqual(ids(workflows), ['a']);
    assert.deepEqual(asked[0]?.labels, ['a=b']);
  });
});

describe('refreshed', () => {
  const rows = (...names: string[]) => names.map((name) => workflow(name));
  const shown = (...names: string[]) => ({ rows: rows(...names), held: [], hasMore: false });

  it('changes rows in their places', () => {
    const fresh = [workflow('b', 'FAILED'), workflow('a', 'SUCCEEDED')];
    assert.deepEqual(refreshed(shown('b', 'a'), { workflows: fresh, hasMore: false }), {
      rows: fresh,
      held: [],
      hasMore: false,
    });
  });

  it('holds back what is new, and drops no row for it', () => {
    const { rows: after, held } = refreshed(shown('c', 'b', 'a'), { workflows: rows('e', 'd', 'c'), hasMore: true });
    assert.deepEqual(ids(after), ['c', 'b', 'a']);
    assert.deepEqual(ids(held), ['e', 'd']);
  });

  it('drops what is there no longer', () => {
    const { rows: after } = refreshed(shown('c', 'b', 'a'), { workflows: rows('c', 'a'), hasMore: false });
    assert.deepEqual(ids(after), ['c', 'a']);
    assert.deepEqual(refreshed(shown('a'), { workflows: [], hasMore: false }).rows, []);
  });

  it('shows all where there was nothing, or nothing is left of it', () => {
    assert.deepEqual(ids(refreshed(shown(), { workflows: rows('a'), hasMore: false }).rows), ['a']);
    assert.deepEqual(ids(refreshed(shown('x'), { workflows: rows('a'), hasMore: true }).rows), ['a']);
  });

  it('never moves a row past another, shows one twice, or loses one that was read', () => {
    const names = fc.uniqueArray(fc.constantFrom(...'abcdefghij'), { maxLength: 8 });
    fc.assert(
      fc.property(names, names, fc.boolean(), (before, now, hasMore) => {
        // Newest first is an order that never changes.
        const sorted = (list: string[]) => rows(...list.toSorted());
        const old = { rows: sorted(before), held: [], hasMore: false };
        const { rows: after, held } = refreshed(old, { workflows: sorted(now), hasMore });
        const all = [...ids(held), ...ids(after)];
        assert.deepEqual(all, all.toSorted());
        assert.equal(new Set(all).size, all.length);
        assert.ok(now.every((name) => all.includes(name)));
      }),
    );
  });
});

describe('stepProgress', () => {
  it('counts finished steps, and every part of one', () => {
    const status = (state: Workflow['state'], fraction: number) => ({
      step_id: '',
      state,
      fraction,
      outputs: [],
      sequences: [],
    });
    const step = { id: '', tool: '', depends_on: [], params: {} };
    const statuses = [status('SUCCEEDED', 0), status('RUNNING', 0.5), status('QUEUED', 0)];
    const progress = stepProgress({ steps: [step, step, step, step], step_statuses: statuses });
    assert.deepEqual(progress, { done: 1, total: 4, fraction: 0.375 });
    assert.deepEqual(stepProgress({ steps: [], step_statuses: [] }), { done: 0, total: 0, fraction: 0 });
  });

  it('knows what is over', () => {
    const states = ['QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED', 'UNKNOWN'] as const;
    assert.deepEqual(
      states.filter((state) => isOver({ state })),
      ['SUCCEEDED', 'FAILED', 'CANCELLED'],
    );
  });
});
