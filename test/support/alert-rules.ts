import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

export const PROMETHEUS_FOLDER = new URL('../../deploy/prometheus/', import.meta.url);

export interface Rule {
  readonly alert?: string;
  readonly record?: string;
  readonly expr: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface RuleGroup {
  readonly name: string;
  readonly rules: readonly Rule[];
}

/** A test of promtool's: what of one alert there is at a moment of made-up series. */
export interface AlertTest {
  readonly name: string;
  readonly alert_rule_test: readonly { readonly alertname: string; readonly exp_alerts: readonly unknown[] }[];
}

export interface AlertTests {
  readonly tests: readonly AlertTest[];
  readonly [setting: string]: unknown;
}

function readYaml<Content>(name: string): Content {
  return parse(readFileSync(new URL(name, PROMETHEUS_FOLDER), 'utf8'));
}

/** The groups of rules.yaml or alerts.yaml. */
export const readRuleGroups = (name: 'rules.yaml' | 'alerts.yaml') =>
  readYaml<{ readonly groups: readonly RuleGroup[] }>(name).groups;

export const readAlertTests = () => readYaml<AlertTests>('alerts.test.yaml');
