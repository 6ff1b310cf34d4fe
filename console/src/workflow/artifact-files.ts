import type { Artifact, Workflow } from '../api.ts';

export type StructureFormat = 'pdb' | 'mmcif';

/** An output of a step as a file that can be downloaded. */
export interface ArtifactFile {
  readonly stepId: string;
  readonly artifact: Artifact;
  /** What the API knows it by: the part of the uri behind `r2://<bucket>/`. */
  readonly key: string;
  readonly name: string;
  /** Undefined: it is no structure that can be drawn. */
  readonly format: StructureFormat | undefined;
}

/** Every output, in the order of the steps. */
export function filesOf({ steps, step_statuses }: Pick<Workflow, 'steps' | 'step_statuses'>): ArtifactFile[] {
  const byStep = new Map(step_statuses.map((status) => [status.step_id, status.outputs]));
  return steps.flatMap(({ id }) => (byStep.get(id) ?? []).map((artifact) => toFile(id, artifact)));
}

export function toFile(stepId: string, artifact: Artifact): ArtifactFile {
  const key = artifact.uri.replace(/^[a-z0-9]+:\/\/[^/]+\//, '');
  const name = key.split('/').at(-1) || 'artifact';
  return { stepId, artifact, key, name, format: formatOf(name, artifact.content_type) };
}

const EXTENSIONS: Readonly<Record<string, StructureFormat>> = { pdb: 'pdb', ent: 'pdb', cif: 'mmcif', mmcif: 'mmcif' };

function formatOf(name: string, contentType: string): StructureFormat | undefined {
  const type = contentType.split(';')[0]!.trim().toLowerCase();
  if (type === 'chemical/x-pdb') return 'pdb';
  if (type === 'chemical/x-mmcif' || type === 'chemical/x-cif') return 'mmcif';
  const extension = /\.([a-z]+)$/i.exec(name)?.[1]?.toLowerCase();
  // The type of last resort says nothing; the name may.
  return extension !== undefined && Object.hasOwn(EXTENSIONS, extension) ? EXTENSIONS[extension] : undefined;
}

/** Files are named after their SHA-256, of which the beginning is enough to tell them apart. */
export function shortName(name: string): string {
  return name.replace(/^([0-9a-f]{12})[0-9a-f]{20,}/i, '$1…');
}
