import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gatewaySettings } from '../src/gateway/config.ts';
import { orchestratorSettings } from '../src/orchestrator/config.ts';
import type { Setting, Settings } from '../src/shared/settings.ts';

export const CHART_SCHEMA = fileURLToPath(new URL('../deploy/helm/foldforge/values.schema.json', import.meta.url));

/** What the chart sets by itself: ports that its Services name, files that it mounts, and what has a value of its own for both programs. */
const OBJECT_STORE = ['R2_ENDPOINT', 'R2_REGION', 'R2_BUCKET', 'R2_FORCE_PATH_STYLE'];
const TLS = ['TLS_CERT_FILE', 'TLS_KEY_FILE'];
const CALLS = ['ORCHESTRATOR_ENDPOINT', 'ORCHESTRATOR_CA_FILE', 'ORCHESTRATOR_CERT_FILE', 'ORCHESTRATOR_KEY_FILE'];
const OF_THE_CHART: Readonly<Record<string, ReadonlySet<string>>> = {
  gateway: new Set(['BIND_ADDR', ...TLS, ...CALLS, ...OBJECT_STORE]),
  orchestrator: new Set([
    'BIND_ADDR',
    'METRICS_ADDR',
    ...TLS,
    'TLS_CLIENT_CA_FILE',
    'SIDECAR_CA_FILE',
    // Replicas must not share a name.
    'EXECUTOR_ID',
    ...OBJECT_STORE,
  ]),
};

/** A JSON Schema. */
type Schema = Record<string, unknown>;

interface ChartSchema {
  readonly definitions: Record<string, Schema>;
}

/** The schema of the chart's values with the settings as the code has them now. */
export function withSettings(schema: ChartSchema): ChartSchema {
  const definitions = { ...schema.definitions };
  for (const [program, settings] of Object.entries({ gateway: gatewaySettings, orchestrator: orchestratorSettings })) {
    const all = Object.entries(settings as Settings).filter(([name]) => !OF_THE_CHART[program]!.has(name));
    const [secrets, plain] = [all.filter(([, { secret }]) => secret), all.filter(([, { secret }]) => !secret)];
    definitions[`${program}Config`] = {
      ...definitions[`${program}Config`],
      properties: Object.fromEntries(plain.map(([name, setting]) => [name, describe(setting)])),
    };
    definitions[`${program}Secrets`] = {
      ...definitions[`${program}Secrets`],
      properties: Object.fromEntries(secrets.map(([name]) => [name, { $ref: '#/definitions/secretKey' }])),
    };
  }
  return { ...schema, definitions };
}

/** What a setting takes is known to its parser alone, so the parser is asked, and believed in what it says of a wrong value. */
function describe(setting: Setting<unknown>): Schema {
  const { desc: description } = setting;
  const complaint = complain(setting);
  const choices = /must be one of: (.+)$/.exec(complaint)?.[1]?.split(', ');
  if (choices) return { description, enum: choices.map((choice) => (choice === '(empty)' ? '' : choice)) };
  if (/must be true or false$/.test(complaint)) return { description, type: 'boolean' };
  if (/must be an http:\/\/ or https:\/\/ URL/.test(complaint))
    return { description, type: 'string', pattern: '^https?://' };
  const number = /must be (?:(\w+) or )?a (whole )?number(?: from (\S+) to (\S+))?$/.exec(complaint);
  if (!number) return { description, type: 'string' };
  const [, word, whole, minimum, maximum] = number;
  const type = whole ? 'integer' : 'number';
  const range = minimum && maximum ? { minimum: Number(minimum), maximum: Number(maximum) } : {};
  const words = [word, accepts(setting, '') ? '' : undefined].filter((text) => text !== undefined);
  if (words.length === 0) return { description, type, ...range };
  return { description, anyOf: [{ type, ...range }, { enum: words }] };
}

function complain(setting: Setting<unknown>): string {
  try {
    setting._parse('\u0001');
    return '';
  } catch (error) {
    return (error as Error).message;
  }
}

function accepts(setting: Setting<unknown>, text: string): boolean {
  try {
    setting._parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Writes the settings into the schema, formatted like everything else. */
export function updateChartSchema(): void {
  const text = JSON.stringify(withSettings(JSON.parse(readFileSync(CHART_SCHEMA, 'utf8'))));
  const biome = fileURLToPath(import.meta.resolve('@biomejs/biome/bin/biome'));
  const formatted = execFileSync(process.execPath, [biome, 'format', `--stdin-file-path=${CHART_SCHEMA}`], {
    input: text,
    encoding: 'utf8',
  });
  writeFileSync(CHART_SCHEMA, formatted);
}

if (import.meta.main) updateChartSchema();
