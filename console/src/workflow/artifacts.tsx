import { useState } from 'preact/hooks';
import type { Api } from '../api.ts';
import type { ArtifactFile } from './artifact-files.ts';
import { ArtifactRow } from './artifact-row.tsx';
import { StructureDialog } from './structure-dialog.tsx';

interface ArtifactsProps {
  readonly api: Api;
  readonly workflowId: string;
  readonly files: readonly ArtifactFile[];
  /** The name of the list. */
  readonly label: string;
  readonly showsStep?: boolean;
}

/** Files that steps have made: to be downloaded, and to be looked at. */
export function Artifacts({ api, workflowId, files, label, showsStep = false }: ArtifactsProps) {
  const [viewed, setViewed] = useState<ArtifactFile | undefined>();
  if (files.length === 0) return <p class="quiet">No files yet.</p>;
  const keys = keysOf(files);
  return (
    <>
      <ul class="files" aria-label={label}>
        {files.map((file, index) => (
          <ArtifactRow
            key={keys[index]}
            api={api}
            workflowId={workflowId}
            file={file}
            showsStep={showsStep}
            onView={() => setViewed(file)}
          />
        ))}
      </ul>
      {viewed && (
        <StructureDialog api={api} workflowId={workflowId} file={viewed} onClose={() => setViewed(undefined)} />
      )}
    </>
  );
}

/**
 * By step and place in it: the same bytes may be the output of two steps, or twice of one, and files that come in above
 * a row must not take its download away.
 */
function keysOf(files: readonly ArtifactFile[]): string[] {
  const counts = new Map<string, number>();
  return files.map(({ stepId }) => {
    const place = counts.get(stepId) ?? 0;
    counts.set(stepId, place + 1);
    return `${stepId} ${place}`;
  });
}
