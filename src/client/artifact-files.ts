import { EX_USAGE, StartupError } from '../shared/startup-error.ts';
import type { Artifact, Workflow } from './contract.ts';

export interface ArtifactFile {
  readonly stepId: string;
  readonly artifact: Artifact;
  /** One name without a folder, whatever the server has said. */
  readonly name: string;
}

export interface Choice {
  /** Only what these steps made; all steps when there is none. */
  readonly stepIds: readonly string[];
  /** Only files whose SHA-256 begins with one of these; all files when there is none. */
  readonly sha256s: readonly string[];
}

/**
 * What a workflow has made, as `<step>-<number>.<ending>`: names that say more than the keys, and stay the same from run to
 * run. Throws a StartupError for a choice that chooses nothing.
 */
export function chooseFiles(workflow: Workflow, { stepIds, sha256s }: Choice): ArtifactFile[] {
  const files = nameFiles(workflow);
  for (const stepId of stepIds) {
    if (!workflow.steps.some(({ id }) => id === stepId)) throw unknown(`the workflow has no step ${stepId}`);
  }
  for (const sha256 of sha256s) {
    const found = new Set(files.map((file) => file.artifact.sha256).filter((known) => known.startsWith(sha256)));
    if (found.size !== 1)
      throw unknown(`${found.size === 0 ? 'no file' : 'more than one file'} has the SHA-256 ${sha256}…`);
  }
  return files.filter(
    ({ stepId, artifact }) =>
      (stepIds.length === 0 || stepIds.includes(stepId)) &&
      (sha256s.length === 0 || sha256s.some((sha256) => artifact.sha256.startsWith(sha256))),
  );
}

function unknown(message: string): StartupError {
  return new StartupError(message, EX_USAGE);
}

function nameFiles({ step_statuses }: Workflow): ArtifactFile[] {
  const taken = new Set<string>();
  return step_statuses.flatMap(({ step_id, outputs }) =>
    outputs.map((artifact, index) => {
      const stem = `${toFileName(step_id)}-${index + 1}`;
      const ending = /\.[A-Za-z0-9]{1,16}$/.exec(artifact.uri)?.[0] ?? '';
      // Two steps may differ in a way that a file system does not see.
      const isTaken = taken.has((stem + ending).toLowerCase());
      const name = isTaken ? `${stem}-${artifact.sha256.slice(0, 12)}${ending}` : stem + ending;
      taken.add(name.toLowerCase());
      return { stepId: step_id, artifact, name };
    }),
  );
}

/** What can be one name in a folder on any system: no slash, no dot at its beginning, nothing invisible. */
export function toFileName(text: string): string {
  return (
    text
      .replace(/[^A-Za-z0-9_.-]/g, '_')
      .replace(/^\.+/, '_')
      .slice(0, 128) || '_'
  );
}
