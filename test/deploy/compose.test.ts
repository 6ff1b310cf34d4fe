import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { gatewaySettings, readGatewayConfig } from '../../src/gateway/config.ts';
import { readOrchestratorConfig, requireBackends } from '../../src/orchestrator/config.ts';
import { withSecrets } from './pod-environment.ts';

interface Service {
  readonly image: string;
  readonly build?: object;
  readonly command?: readonly string[];
  readonly user: string;
  readonly restart: string;
  readonly read_only: boolean;
  readonly cap_drop: readonly string[];
  readonly cap_add?: readonly string[];
  readonly security_opt: readonly string[];
  readonly privileged?: boolean;
  readonly environment?: Readonly<Record<string, string>>;
  readonly secrets?: readonly string[];
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly networks?: readonly string[];
  readonly profiles?: readonly string[];
  readonly deploy?: { readonly replicas: number };
  readonly healthcheck?: object;
  readonly stop_grace_period?: string;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly networks: Readonly<Record<string, { readonly internal?: boolean } | null>>;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
}

const DEPLOY = new URL('../../deploy/', import.meta.url);
const text = readFileSync(new URL('compose.yaml', DEPLOY), 'utf8');
const { services, networks, secrets } = parse(text, { merge: true }) as Compose;
const once = Object.entries(services).filter(([, { restart }]) => restart === 'no');
const lasting = Object.entries(services).filter(([, { restart }]) => restart !== 'no');

function environmentOf(name: string): Record<string, string> {
  const service = services[name]!;
  return withSecrets(service.environment!, (file) =>
    service.secrets!.some((secret) => file === `/run/secrets/${secret}`),
  );
}

describe('deploy/compose.yaml', () => {
  it('has two of each program, out of one image', () => {
    const { gateway, orchestrator } = services;
    assert.deepEqual([gateway!.deploy, orchestrator!.deploy], [{ replicas: 2 }, { replicas: 2 }]);
    assert.deepEqual([gateway!.command, orchestrator!.command], [['gateway'], ['orchestrator']]);
    assert.equal(gateway!.image, orchestrator!.image);
    assert.deepEqual(gateway!.build, orchestrator!.build);
  });

  for (const [name, service] of Object.entries(services)) {
    it(`locks ${name} in`, () => {
      assert.equal(service.read_only, true);
      assert.deepEqual(service.cap_drop, ['ALL']);
      assert.deepEqual(service.security_opt, ['no-new-privileges:true']);
      assert.equal(service.privileged, undefined);
      for (const key of ['pid', 'ipc', 'devices', 'userns_mode', 'cgroup']) assert.equal(key in service, false, key);
      for (const volume of service.volumes ?? [])
        assert.match(volume, /^(\.\/[\w./-]+:[\w./-]+:ro|[a-z]+:\/[\w./-]+)$/);
      // Who gives a new volume to its user must be root, and may do nothing else.
      const isRoot = name === 'object-store-volume';
      assert.deepEqual(service.cap_add, isRoot ? ['CHOWN'] : undefined);
      assert.equal(/^(root|0)(:|$)/.test(service.user), isRoot);
      for (const port of service.ports ?? []) assert.match(port, /^(127\.0\.0\.1|\$\{FOLDFORGE_BIND:-127\.0\.0\.1\}):/);
      if (!service.build) assert.match(service.image, /:v?\d[\w.-]*$/, 'a version of its image');
    });
  }

  it('starts each when what it needs is there', () => {
    for (const [name, { depends_on = {}, healthcheck }] of lasting) {
      assert.ok(healthcheck, `${name} says how it is`);
      for (const [other, { condition }] of Object.entries(depends_on)) {
        assert.ok(services[other], other);
        const isOnce = once.some(([job]) => job === other);
        assert.equal(condition, isOnce ? 'service_completed_successfully' : 'service_healthy', `${name} → ${other}`);
      }
    }
    assert.deepEqual(Object.keys(services.gateway!.depends_on!), ['orchestrator', 'bucket']);
  });

  it('has settings that both programs start with, and time for their ends', () => {
    const gateway = readGatewayConfig(environmentOf('gateway'));
    const orchestrator = readOrchestratorConfig(environmentOf('orchestrator'));
    requireBackends(orchestrator);
    const seconds = (name: string) => Number(/^(\d+)s$/.exec(services[name]!.stop_grace_period!)![1]);
    assert.ok(seconds('gateway') >= gateway.SHUTDOWN_GRACE_SECONDS / 1000 + 2);
    assert.ok(seconds('nginx') >= gateway.SHUTDOWN_GRACE_SECONDS / 1000 + 2);
    assert.ok(seconds('orchestrator') > 9);
    assert.equal(gateway.ORCHESTRATOR_ENDPOINT, `dns:///orchestrator:${orchestrator.bindAddr.port}`);
    assert.ok(gateway.STREAM_TICKET_SECRETS.length > 0);
    const { endpoint, region, bucket } = orchestrator.objectStore;
    assert.deepEqual([gateway.R2_ENDPOINT, gateway.R2_REGION, gateway.R2_BUCKET], [endpoint, region, bucket]);
    assert.deepEqual(services.bucket!.command, [`${endpoint}/${bucket}`, region, '/run/secrets']);
    const { VGW_PORT, VGW_REGION } = services['object-store']!.environment!;
    assert.deepEqual([VGW_PORT, VGW_REGION], [`:${new URL(endpoint).port}`, region]);
  });

  it('has no secret in it, and says what to do when there are none', () => {
    for (const [name, { file }] of Object.entries(secrets)) {
      assert.equal(file, `\${FOLDFORGE_SECRETS:?run deploy/compose/make-secrets.sh first}/${name}`);
    }
    for (const [name, { environment = {}, secrets: given = [] }] of Object.entries(services)) {
      for (const secret of given) assert.ok(secrets[secret], `${name}: ${secret}`);
      for (const [variable, value] of Object.entries(environment)) {
        if (/PASSWORD|SECRET|TOKEN|KEY(_ID)?(_|$)|DATABASE_URL/.test(variable) && !variable.includes('KEYS_ENABLED')) {
          assert.match(value, /^\/run\/secrets\//, `${name}: ${variable}`);
        }
      }
    }
  });

  it('keeps the database to the orchestrators', () => {
    const near = Object.entries(services).filter(([, service]) => service.networks?.includes('data'));
    assert.deepEqual(
      near.map(([name]) => name),
      ['orchestrator', 'postgres'],
    );
    assert.equal(networks.data?.internal, true);
  });

  it('leads each name to one address of each replica', () => {
    for (const [from, to] of [
      ['nginx', 'gateway'],
      ['gateway', 'orchestrator'],
      ['gateway', 'object-store'],
      ['orchestrator', 'object-store'],
      ['orchestrator', 'postgres'],
      ['bucket', 'object-store'],
      ['prometheus', 'gateway'],
      ['prometheus', 'orchestrator'],
      ['grafana', 'prometheus'],
    ] as const) {
      const shared = services[from]!.networks!.filter((network) => services[to]!.networks!.includes(network));
      assert.equal(shared.length, 1, `${from} → ${to}`);
    }
    assert.deepEqual(services.grafana!.networks, ['monitoring']);
  });

  it('mounts nothing that is not there', () => {
    const mounted = Object.values(services).flatMap(({ volumes = [] }) =>
      volumes.map((volume) => volume.split(':')[0]!),
    );
    for (const place of mounted.filter((name) => name.startsWith('./'))) {
      assert.ok(existsSync(new URL(place, DEPLOY)), place);
    }
  });

  it('lets nginx take as large a body as the gateways do', () => {
    const conf = readFileSync(new URL('compose/nginx.conf', DEPLOY), 'utf8');
    const [, megabytes] = /client_max_body_size (\d+)m;/.exec(conf) ?? [];
    assert.equal(Number(megabytes) * 1024 * 1024, Number(gatewaySettings.BODY_LIMIT_BYTES.defaultText));
  });
});
