import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { PROMETHEUS_FOLDER, type Rule, readAlertTests, readRuleGroups } from '../support/alert-rules.ts';
import { listSeries } from '../support/known-metrics.ts';
import { readExpression } from '../support/promql.ts';

interface ScrapeConfig {
  readonly job_name: string;
  readonly dns_sd_configs: readonly { readonly names: readonly string[] }[];
}

const PAGE = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8');
const RECORDS = readRuleGroups('rules.yaml').flatMap(({ rules }) => rules);
const ALERTS = readRuleGroups('alerts.yaml').flatMap(({ rules }) => rules);
const NAMES = ALERTS.map(({ alert }) => alert!);

/** The rows of the alerts' tables, each with the anchor of the heading that it stands under. */
function readRows() {
  const [, section] = /^## Alerts$(.*?)^## /ms.exec(PAGE)!;
  return section!.split(/^### /m).flatMap((part) => {
    const anchor = part.slice(0, part.indexOf('\n')).toLowerCase().replaceAll(' ', '-');
    const rows = [...part.matchAll(/^\| `(FoldForge\w+)` \| (\w+) \| (.+) \| (.+) \|$/gm)];
    return rows.map(([, alert, severity]) => ({ alert, severity, runbook: `docs/operations.md#${anchor}` }));
  });
}

describe('the alerts', () => {
  it('each have a test that they fire, and one that they do not', () => {
    const checks = readAlertTests().tests.flatMap((test) => test.alert_rule_test);
    const named = (isFiring: boolean) => [
      ...new Set(
        checks.filter(({ exp_alerts }) => exp_alerts.length > 0 === isFiring).map(({ alertname }) => alertname),
      ),
    ];
    assert.deepEqual(named(true).sort(), [...NAMES].sort());
    assert.deepEqual(named(false).sort(), [...NAMES].sort());
  });

  it('each have a row in docs/operations.md, where their runbook leads', () => {
    const alerts = ALERTS.map(({ alert, labels, annotations }) => ({
      alert,
      severity: labels?.severity,
      runbook: annotations?.runbook,
    }));
    const byName = (one: { alert?: string | undefined }, other: { alert?: string | undefined }) =>
      one.alert!.localeCompare(other.alert!);
    assert.deepEqual(alerts.sort(byName), readRows().sort(byName));
  });

  it('say what is wrong, and what that means', () => {
    for (const { alert, labels, annotations } of ALERTS) {
      assert.match(labels?.severity ?? '', /^(critical|warning)$/, alert);
      assert.match(annotations?.summary ?? '', /\S/, alert);
      assert.match(annotations?.description ?? '', /\.$/, alert);
    }
  });

  it('ask only for what the programs tell, by labels that it has', () => {
    const series = listSeries();
    const records = new Map(RECORDS.map(({ record, expr }) => [record!, expr]));
    const labelsOf = (name: string): ReadonlySet<string> =>
      series.get(name) ?? new Set(readExpression(records.get(name) ?? '').grouping);
    for (const { alert, record, expr } of [...RECORDS, ...ALERTS] satisfies Rule[]) {
      const { selectors, grouping } = readExpression(expr);
      const where = `${alert ?? record}: ${expr}`;
      assert.ok(selectors.length > 0, where);
      for (const { name, labels } of selectors) {
        assert.ok(series.has(name) || records.has(name), `${name} is told by neither program; ${where}`);
        for (const label of labels) assert.ok(labelsOf(name).has(label), `${name} has no ${label}; ${where}`);
      }
      const known = new Set(selectors.flatMap(({ name }) => [...labelsOf(name)]));
      for (const label of grouping) assert.ok(known.has(label), `nothing has ${label}; ${where}`);
    }
  });

  it('use every recorded series', () => {
    const used = new Set(ALERTS.flatMap(({ expr }) => readExpression(expr).selectors.map(({ name }) => name)));
    assert.deepEqual(
      RECORDS.map(({ record }) => record!).filter((record) => !used.has(record)),
      [],
    );
  });
});

describe('the example configuration', () => {
  const read = (name: string) => parse(readFileSync(new URL(name, PROMETHEUS_FOLDER), 'utf8'));

  it('finds the services of the compose file, under names by which the alerts find them', () => {
    const { scrape_configs } = read('prometheus.yaml') as { scrape_configs: ScrapeConfig[] };
    const { services } = read('../compose.yaml') as { services: Readonly<Record<string, unknown>> };
    const jobs = scrape_configs.map(({ job_name, dns_sd_configs }) => [job_name, ...dns_sd_configs[0]!.names]);
    assert.deepEqual(jobs, [
      ['foldforge-gateway', 'gateway'],
      ['foldforge-orchestrator', 'orchestrator'],
    ]);
    for (const [, service] of jobs) assert.ok(Object.hasOwn(services, service!), service);
    const patterns = ALERTS.flatMap(({ expr }) => [...expr.matchAll(/job=~"([^"]+)"/g)].map(([, pattern]) => pattern!));
    const names = jobs.map(([job]) => job!);
    for (const pattern of patterns) {
      assert.ok(
        names.some((name) => new RegExp(`^(?:${pattern})$`).test(name)),
        pattern,
      );
    }
  });

  it('reads the rules beside it', () => {
    assert.deepEqual(read('prometheus.yaml').rule_files, ['rules.yaml', 'alerts.yaml']);
  });
});
