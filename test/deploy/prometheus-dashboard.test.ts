import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { listExpressions, readDashboard } from '../support/dashboard.ts';
import { createRegistries, listSeries } from '../support/known-metrics.ts';
import { readExpression } from '../support/promql.ts';

const DASHBOARD = readDashboard();
const COLUMNS = 24;
/** Beside those of ours, the one that each of Grafana's query targets may have. */
const GRAFANA_VARIABLES = ['__rate_interval'];

describe('the dashboard', () => {
  it('is of a version that Grafana reads, and is found by one name', () => {
    assert.equal(DASHBOARD.uid, 'foldforge');
    assert.ok(DASHBOARD.schemaVersion >= 39);
  });

  it('has panels that do not lie on each other', () => {
    const { panels } = DASHBOARD;
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length, 'each has an id of its own');
    const taken = new Map<string, string>();
    for (const { title, gridPos } of panels) {
      const { x, y, w, h } = gridPos;
      assert.ok(w > 0 && h > 0 && x >= 0 && y >= 0 && x + w <= COLUMNS, title);
      for (let row = y; row < y + h; row++) {
        for (let column = x; column < x + w; column++) {
          const cell = `${row} ${column}`;
          assert.ok(!taken.has(cell), `${title} lies on ${taken.get(cell)}`);
          taken.set(cell, title);
        }
      }
    }
  });

  it('asks in every panel, and of the data source that is chosen', () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana puts in what was chosen.
    const source = { type: 'prometheus', uid: '${datasource}' };
    for (const panel of DASHBOARD.panels) {
      if (panel.type === 'row') {
        assert.deepEqual(panel.panels, [], `${panel.title} is open, so its panels stand beside it`);
        continue;
      }
      assert.deepEqual(panel.datasource, source, panel.title);
      assert.ok(panel.targets && panel.targets.length > 0, panel.title);
      assert.equal(new Set(panel.targets.map(({ refId }) => refId)).size, panel.targets.length, panel.title);
      for (const target of panel.targets) {
        assert.match(target.expr, /\S/, panel.title);
        assert.deepEqual(target.datasource, source, panel.title);
      }
    }
  });

  it('uses only variables that there are', () => {
    const known = [...DASHBOARD.templating.list.map(({ name }) => name), ...GRAFANA_VARIABLES];
    const used = [...JSON.stringify(DASHBOARD).matchAll(/\$\{?(\w+)/g)].map(([, name]) => name!);
    assert.deepEqual(
      used.filter((name) => !known.includes(name) && name !== '__all'),
      [],
    );
  });

  it('asks only for what the programs tell, by labels that it has', () => {
    const series = listSeries();
    for (const { title, expr } of listExpressions(DASHBOARD)) {
      const { selectors, grouping } = readExpression(expr);
      for (const { name, labels } of selectors) {
        assert.ok(series.has(name), `${name} is told by neither program; ${title}`);
        for (const label of labels) assert.ok(series.get(name)!.has(label), `${name} has no ${label}; ${title}`);
      }
      const known = new Set(selectors.flatMap(({ name }) => [...series.get(name)!]));
      for (const label of grouping) assert.ok(known.has(label), `nothing has ${label}; ${title}`);
    }
  });

  it('shows every metric of ours', () => {
    const shown = new Set(
      listExpressions(DASHBOARD).flatMap(({ expr }) =>
        readExpression(expr).selectors.map(({ name }) => name.replace(/_(bucket|sum|count)$/, '')),
      ),
    );
    const ours = Object.values(createRegistries())
      .flatMap((registry) => registry.getMetricsAsArray() as unknown as { name: string }[])
      .map(({ name }) => name);
    assert.deepEqual(
      [...new Set(ours)].filter((name) => name.startsWith('foldforge_') && !shown.has(name)),
      [],
    );
  });

  it('is found by Grafana with the files beside it', () => {
    const read = (name: string) =>
      parse(readFileSync(new URL(`../../deploy/grafana/provisioning/${name}`, import.meta.url), 'utf8'));
    const { providers } = read('dashboards/foldforge.yaml');
    const { datasources } = read('datasources/prometheus.yaml');
    assert.deepEqual(
      providers.map(({ type }: { type: string }) => type),
      ['file'],
    );
    assert.deepEqual(
      datasources.map(({ type }: { type: string }) => type),
      ['prometheus'],
    );
    const compose = readFileSync(new URL('../../deploy/compose.yaml', import.meta.url), 'utf8');
    assert.ok(
      compose.includes(`:${providers[0].options.path}/foldforge.json:ro`),
      'it is mounted where it is looked for',
    );
  });
});
