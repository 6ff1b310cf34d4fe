import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { PLAIN_TLS, parseManifests } from '../../scripts/check-deploy/render-chart.ts';
import type { KubernetesVolume } from '../support/kubernetes-volume.ts';
import { withSecrets } from './pod-environment.ts';

interface Place {
  readonly name: string;
  readonly items: readonly { readonly key: string; readonly path: string }[];
}

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string; readonly scheme?: string };
}

interface Volume {
  readonly name: string;
  readonly projected?: {
    readonly defaultMode: number;
    readonly sources: readonly { readonly secret?: Place; readonly configMap?: Place }[];
  };
}

interface Container {
  readonly env: readonly { readonly name: string; readonly value: string }[];
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean }[];
  readonly startupProbe: Probe;
  readonly livenessProbe: Probe;
  readonly readinessProbe: Probe;
}

/** What is in the Secrets of a namespace, by their names and keys. */
export type Secrets = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** A Pod of deploy/kubernetes/foldforge-tls.yaml, as far as its certificates go. */
export function readTlsPod(program: 'gateway' | 'orchestrator') {
  const found = parseManifests(readFileSync(PLAIN_TLS, 'utf8')).find(
    ({ kind, metadata }) => kind === 'Deployment' && metadata.name === `foldforge-${program}`,
  ) as unknown as { spec: { template: { spec: { containers: [Container]; volumes: readonly Volume[] } } } };
  const { containers, volumes } = found.spec.template.spec;
  const [container] = containers;
  const { projected } = volumes.find(({ name }) => name === 'certificates')!;
  const mount = container.volumeMounts.find(({ name }) => name === 'certificates')!;
  const { startupProbe, livenessProbe, readinessProbe } = container;
  const inMount = ({ value }: { value: string }) => value.startsWith(`${mount.mountPath}/`);
  const secretFiles = volumes
    .find(({ name }) => name === 'secrets')!
    .projected!.sources.flatMap(({ secret }) => secret!.items.map(({ path }) => `/etc/foldforge/secrets/${path}`));

  return {
    mount,
    defaultMode: projected!.defaultMode,
    probes: [startupProbe, livenessProbe, readinessProbe],

    /** What the kubelet would write into the volume. Fails for what the Secrets do not have, as it would. */
    filesOf(secrets: Secrets): Record<string, string> {
      const files: Record<string, string> = {};
      for (const { secret } of projected!.sources) {
        for (const { key, path } of secret!.items) {
          const text = secrets[secret!.name]?.[key];
          assert.ok(text, `Secret ${secret!.name} has no ${key}`);
          assert.equal(path in files, false, `${path} twice`);
          files[path] = text;
        }
      }
      return files;
    },

    /** What its program would read, with this volume as the one with the certificates. */
    environmentWith(volume: KubernetesVolume): Record<string, string> {
      const plain = container.env.filter((variable) => !inMount(variable));
      const mounted = container.env
        .filter(inMount)
        .map(({ name, value }) => [name, volume.path(value.slice(mount.mountPath.length + 1))]);
      const environment = Object.fromEntries(plain.map(({ name, value }) => [name, value]));
      return { ...withSecrets(environment, (file) => secretFiles.includes(file)), ...Object.fromEntries(mounted) };
    },
  };
}
