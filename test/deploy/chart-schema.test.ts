import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { Ajv } from 'ajv';
import { parse } from 'yaml';
import { CHART_SCHEMA, withSettings } from '../../scripts/chart-schema.ts';

const schema = JSON.parse(readFileSync(CHART_SCHEMA, 'utf8'));
const readValues = (name: string) => parse(readFileSync(new URL(`../../deploy/${name}`, import.meta.url), 'utf8'));

const CA = 'gateway.orchestratorTls.ca';
const PLACE = { name: 'a', key: 'ca.crt' };

describe("the schema of the chart's values", () => {
  const validate = new Ajv({ allowUnionTypes: true, strictTypes: false, strictRequired: false }).compile(schema);

  function faultsOf(change: (values: Record<string, Record<string, never>>) => void): string {
    const values = readValues('helm/foldforge/values.yaml');
    values.objectStore.endpoint = 'https://s3.example.org';
    change(values);
    return validate(values)
      ? ''
      : validate.errors!.map(({ instancePath, message }) => instancePath + message).join('; ');
  }

  it('has the settings of both programs as the code has them (else: node scripts/chart-schema.ts)', () => {
    assert.deepEqual(schema, withSettings(schema));
  });

  it('takes the defaults with what has none, and what the manifests are made with', () => {
    assert.equal(
      faultsOf(() => {}),
      '',
    );
    const plain = readValues('kubernetes/values.yaml');
    assert.equal(
      faultsOf((values) => Object.assign(values.objectStore!, plain.objectStore)),
      '',
    );
  });

  it('takes what the manifests with TLS are made with, and authorities out of a ConfigMap', () => {
    const { gateway, orchestrator } = readValues('kubernetes/values-tls.yaml');
    const clientCA = { configMap: { name: 'authorities', key: 'gateways.pem' } };
    assert.equal(
      faultsOf((values) => {
        Object.assign(values.gateway!, gateway);
        Object.assign(values.orchestrator!, { ...orchestrator, tls: { ...orchestrator.tls, clientCA } });
      }),
      '',
    );
  });

  it('describes every value that there is', () => {
    const undescribed = new Set<string>();
    walk(schema, 'values');
    assert.deepEqual([...undescribed], []);

    function walk(part: Record<string, unknown>, place: string): void {
      for (const [name, child] of Object.entries(part)) {
        if (typeof child !== 'object' || child === null) continue;
        const node = child as Record<string, unknown>;
        const isObject = node.type === 'object' && node.properties !== undefined;
        if (isObject && node.additionalProperties !== false) undescribed.add(`${place}/${name}`);
        walk(node, `${place}/${name}`);
      }
    }
  });

  for (const [what, change, fault] of [
    ['no object store', (values) => set(values, 'objectStore.endpoint', ''), /^\/objectStore\/endpoint/],
    ['an unknown setting', (values) => set(values, 'gateway.config.LOG_LEVL', 'info'), /^\/gateway\/config/],
    ['a secret as plain text', (values) => set(values, 'gateway.config.API_TOKEN', 'x'), /^\/gateway\/config/],
    [
      'a setting that the chart makes',
      (values) => set(values, 'gateway.config.BIND_ADDR', 'x:1'),
      /^\/gateway\/config/,
    ],
    [
      'a file that the chart does not mount',
      (values) => set(values, 'gateway.config.TLS_CERT_FILE', '/etc/tls.crt'),
      /^\/gateway\/config/,
    ],
    [
      'a certificate in place of its name',
      (values) => set(values, 'gateway.tls.secretName', '-----BEGIN'),
      /secretName/,
    ],
    ['an authority without a key', (values) => set(values, CA, { secret: { name: 'a' } }), /\/ca\/secret.*'key'/],
    [
      'an authority in two places',
      (values) => set(values, CA, { secret: PLACE, configMap: PLACE }),
      /\/ca.*more than 1/,
    ],
    ['an authority nowhere', (values) => set(values, CA, {}), /\/ca.*fewer than 1/],
    [
      'one name for replicas',
      (values) => set(values, 'orchestrator.config.EXECUTOR_ID', 'a'),
      /^\/orchestrator\/config/,
    ],
    ['a word for a number', (values) => set(values, 'gateway.config.BODY_LIMIT_BYTES', '1 MB'), /BODY_LIMIT_BYTES/],
    ['a number out of range', (values) => set(values, 'gateway.config.WORKERS', 1000), /WORKERS/],
    ['a choice that is none', (values) => set(values, 'gateway.config.ARTIFACT_DELIVERY', 'mail'), /ARTIFACT_DELIVERY/],
    ['no replicas', (values) => set(values, 'orchestrator.replicas', 0), /^\/orchestrator\/replicas/],
    ['no ticket secrets', (values) => set(values, 'gateway.secrets.STREAM_TICKET_SECRETS', undefined), /STREAM_TICKET/],
    [
      'payments without the secret of their webhook',
      (values) => set(values, 'gateway.secrets.STRIPE_SECRET_KEY', { name: 'a', key: 'b' }),
      /STRIPE_WEBHOOK_SECRETS/,
    ],
    ['a secret in place of its name', (values) => set(values, 'gateway.secrets.API_TOKEN', 'x'), /API_TOKEN/],
    ['another top-level name', (values) => set(values, 'gatway', {}), /additional properties/],
  ] satisfies [string, (values: Record<string, never>) => void, RegExp][]) {
    it(`refuses ${what}`, () => {
      assert.match(
        faultsOf((values) => change(values as Record<string, never>)),
        fault,
      );
    });
  }
});

function set(values: Record<string, never>, place: string, value: unknown): void {
  const names = place.split('.');
  const last = names.pop()!;
  const parent = names.reduce<Record<string, unknown>>((part, name) => part[name] as Record<string, unknown>, values);
  if (value === undefined) delete parent[last];
  else parent[last] = value;
}
