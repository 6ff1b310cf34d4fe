import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { PLAIN, parseManifests } from '../../scripts/check-deploy/render-chart.ts';
import { gatewaySettings, readGatewayConfig } from '../../src/gateway/config.ts';
import { createMetrics } from '../../src/gateway/metrics.ts';
import { readOrchestratorConfig, requireBackends } from '../../src/orchestrator/config.ts';
import { withSecrets } from './pod-environment.ts';

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
  readonly timeoutSeconds: number;
}

interface Container {
  readonly image: string;
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string; readonly value: string }[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly securityContext: object;
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
  readonly startupProbe: Probe;
  readonly livenessProbe: Probe;
  readonly readinessProbe: Probe;
}

interface Pod {
  readonly terminationGracePeriodSeconds: number;
  readonly automountServiceAccountToken: boolean;
  readonly enableServiceLinks: boolean;
  readonly securityContext: object;
  readonly containers: readonly [Container];
  readonly volumes: readonly { readonly name: string; readonly projected?: Projected }[];
}

interface Projected {
  readonly defaultMode: number;
  readonly sources: readonly {
    readonly secret: { readonly items: readonly { readonly key: string; readonly path: string }[] };
  }[];
}

const manifests = parseManifests(readFileSync(PLAIN, 'utf8'));

/** The manifest of a kind, with its `spec` as whoever asks expects it. */
function find<Spec>(kind: string, name: string): Spec {
  const found = manifests.filter((manifest) => manifest.kind === kind && manifest.metadata.name === name);
  assert.equal(found.length, 1, `${kind} ${name}`);
  return (found[0] as unknown as { spec: Spec }).spec;
}

const podOf = (program: string) =>
  find<{ template: { spec: Pod; metadata: { labels: Record<string, string> } } }>('Deployment', `foldforge-${program}`)
    .template;

function environmentOf(program: string): Record<string, string> {
  const { containers, volumes } = podOf(program).spec;
  const [{ env, volumeMounts }] = containers;
  const { mountPath } = volumeMounts.find(({ name }) => name === 'secrets')!;
  const { sources } = volumes.find(({ name }) => name === 'secrets')!.projected!;
  const files = sources.flatMap(({ secret }) => secret.items.map(({ path }) => `${mountPath}/${path}`));
  return withSecrets(Object.fromEntries(env.map(({ name, value }) => [name, value])), (file) => files.includes(file));
}

describe('the manifests in deploy/kubernetes', () => {
  it('run both programs out of one image, as its entry point takes them', () => {
    const [gateway, orchestrator] = ['gateway', 'orchestrator'].map((program) => podOf(program).spec.containers[0]!);
    assert.equal(gateway!.image, orchestrator!.image);
    assert.deepEqual([gateway!.args, orchestrator!.args], [['gateway'], ['orchestrator']]);
  });

  it('have no container but those two, and none that sees the host', () => {
    const templates = manifests.flatMap(
      ({ kind, metadata, ...rest }) => (rest as { spec?: { template?: { spec: Pod } } }).spec?.template?.spec ?? [],
    );
    assert.equal(templates.length, 2);
    for (const pod of templates) {
      assert.equal(pod.containers.length, 1);
      for (const name of ['initContainers', 'ephemeralContainers', 'hostNetwork', 'hostPID', 'hostIPC', 'hostUsers']) {
        assert.equal(name in pod, false, name);
      }
      for (const volume of pod.volumes) assert.equal('hostPath' in volume, false, volume.name);
    }
    // What can be set is not among it, so whoever installs the chart cannot lose it by the way.
    const chart = readFileSync(new URL('../../deploy/helm/foldforge/templates/_pod.tpl', import.meta.url), 'utf8');
    for (const line of [
      'runAsNonRoot: true',
      'seccompProfile: { type: RuntimeDefault }',
      'allowPrivilegeEscalation: false',
      'readOnlyRootFilesystem: true',
      'capabilities: { drop: [ALL] }',
    ]) {
      assert.equal(chart.split('\n').filter((found) => found.trim() === line).length, 1, line);
    }
  });

  for (const program of ['gateway', 'orchestrator']) {
    it(`lock the ${program} in`, () => {
      const { spec } = podOf(program);
      const [container] = spec.containers;
      assert.deepEqual(spec.securityContext, {
        runAsNonRoot: true,
        runAsUser: 1000,
        runAsGroup: 1000,
        fsGroup: 1000,
        seccompProfile: { type: 'RuntimeDefault' },
      });
      assert.deepEqual(container.securityContext, {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
      assert.equal(spec.automountServiceAccountToken, false);
      assert.equal(spec.enableServiceLinks, false);
      assert.equal(spec.volumes.find(({ name }) => name === 'secrets')!.projected!.defaultMode, 0o440);
    });

    it(`roll the ${program} out without a gap`, () => {
      const { strategy } = find<{ strategy: object }>('Deployment', `foldforge-${program}`);
      assert.deepEqual(strategy, { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } });
      const { maxUnavailable, selector } = find<{ maxUnavailable: number; selector: Selector }>(
        'PodDisruptionBudget',
        `foldforge-${program}`,
      );
      assert.equal(maxUnavailable, 1);
      assertSelects(selector.matchLabels, program);
    });
  }

  it('have settings that the gateway starts with, and time for its drain', () => {
    const { spec } = podOf('gateway');
    const config = readGatewayConfig(environmentOf('gateway'));
    const graceSeconds = config.SHUTDOWN_GRACE_SECONDS / 1000;
    assert.ok(spec.terminationGracePeriodSeconds >= graceSeconds + 2, 'after the grace period it still has to exit');
    assert.ok(config.SHUTDOWN_DELAY_SECONDS >= 5_000, 'endpoints need a moment to forget a Pod');
    assert.ok(config.STREAM_TICKET_SECRETS.length > 0, 'replicas know the tickets of each other');
    const { startupProbe, livenessProbe, readinessProbe, ports } = spec.containers[0];
    const bound = Number(gatewaySettings.BIND_ADDR.defaultText.split(':').at(-1));
    assert.deepEqual(ports, [{ name: 'http', containerPort: bound }]);
    assert.deepEqual(
      [startupProbe, livenessProbe, readinessProbe].map(({ httpGet }) => httpGet.path),
      ['/v1/healthz', '/v1/healthz', '/v1/readyz'],
    );
    assert.ok(readinessProbe.timeoutSeconds > 3, 'the first answer may take 3 seconds');
  });

  it('have settings that the orchestrator starts with, and time for its shutdown', () => {
    const { spec } = podOf('orchestrator');
    const config = readOrchestratorConfig(environmentOf('orchestrator'));
    requireBackends(config);
    assert.ok(spec.terminationGracePeriodSeconds > 9);
    const { startupProbe, livenessProbe, readinessProbe, ports } = spec.containers[0];
    assert.deepEqual(
      ports.map(({ containerPort }) => containerPort),
      [config.bindAddr.port, config.metricsAddr.port],
    );
    assert.deepEqual(
      [startupProbe, livenessProbe, readinessProbe].map(({ httpGet }) => httpGet.path),
      ['/livez', '/livez', '/readyz'],
    );
  });

  it('lead the gateways to every orchestrator by a Service without an address', () => {
    const { ORCHESTRATOR_ENDPOINT } = readGatewayConfig(environmentOf('gateway'));
    const service = find<{ clusterIP: string; selector: Record<string, string>; ports: { port: number }[] }>(
      'Service',
      'foldforge-orchestrator',
    );
    assert.equal(service.clusterIP, 'None');
    assertSelects(service.selector, 'orchestrator');
    assert.equal(ORCHESTRATOR_ENDPOINT, `dns:///foldforge-orchestrator:${service.ports[0]!.port}`);
  });

  it('let only gateways call orchestrators, and nobody call anything that is not needed', () => {
    const orchestrator = find<Policy>('NetworkPolicy', 'foldforge-orchestrator');
    const grpc = orchestrator.ingress.filter(({ ports }) => ports.some(({ port }) => port === 'grpc'));
    assert.equal(grpc.length, 1);
    assert.equal(grpc[0]!.from?.length, 1);
    assertSelects(grpc[0]!.from![0]!.podSelector.matchLabels, 'gateway');
    const gateway = find<Policy>('NetworkPolicy', 'foldforge-gateway');
    for (const policy of [gateway, orchestrator]) assert.deepEqual(policy.policyTypes, ['Ingress', 'Egress']);
    const portsOut = ({ egress }: Policy) => egress.flatMap(({ ports }) => ports.map(({ port }) => port));
    const store = Number(new URL(readGatewayConfig(environmentOf('gateway')).R2_ENDPOINT).port);
    assert.deepEqual(portsOut(gateway), ['grpc', 53, 53, store]);
    assert.deepEqual(portsOut(orchestrator), [53, 53, 5432, store]);
  });

  it('could grow by a metric that the gateway has', () => {
    const template = new URL('../../deploy/helm/foldforge/templates/autoscaling.yaml', import.meta.url);
    const [, metric = ''] = /metric: \{ name: (\w+) \}/.exec(readFileSync(template, 'utf8')) ?? [];
    assert.ok(createMetrics().registry.getSingleMetric(metric), metric);
  });

  it('are told of in README.md, with each key of their Secret and what is to be changed', () => {
    const page = readFileSync(new URL('../../deploy/kubernetes/README.md', import.meta.url), 'utf8');
    const wanted = ['gateway', 'orchestrator'].flatMap((program) => {
      const { sources } = podOf(program).spec.volumes.find(({ name }) => name === 'secrets')!.projected!;
      return sources.flatMap(({ secret }) => secret.items.map(({ key }) => key));
    });
    const made = [...page.matchAll(/--from-literal=([\w-]+)=/g)].map(([, key]) => key!);
    assert.deepEqual(made.toSorted(), [...new Set(wanted)].toSorted());
    const text = readFileSync(PLAIN, 'utf8');
    const replaced = [...page.matchAll(/-e 's#([^#]+)#([^#]+)#'/g)].reduce(
      (changed, [, from, to]) => changed.replaceAll(from!, to!),
      text,
    );
    const changed = text.split('\n').filter((line, index) => line !== replaced.split('\n')[index]);
    assert.equal(changed.length, 6, changed.join('\n'));
  });

  it('have no secret in them, and name no namespace', () => {
    assert.equal(
      manifests.some(({ kind }) => kind === 'Secret'),
      false,
    );
    for (const { metadata } of manifests) assert.equal('namespace' in metadata, false, metadata.name);
    for (const program of ['gateway', 'orchestrator']) {
      for (const { name } of podOf(program).spec.containers[0].env)
        assert.doesNotMatch(name, /TOKEN$|SECRETS?$|KEY(_ID)?$|URL$/);
    }
  });

  function assertSelects(labels: Readonly<Record<string, string>>, program: string): void {
    const pods = podOf(program).metadata.labels;
    for (const [name, value] of Object.entries(labels)) assert.equal(pods[name], value, name);
    assert.equal(labels['app.kubernetes.io/component'], program);
  }
});

interface Selector {
  readonly matchLabels: Readonly<Record<string, string>>;
}

interface Policy {
  readonly policyTypes: readonly string[];
  readonly ingress: readonly {
    readonly ports: readonly { readonly port: string | number }[];
    readonly from?: readonly { readonly podSelector: Selector }[];
  }[];
  readonly egress: readonly { readonly ports: readonly { readonly port: string | number }[] }[];
}
