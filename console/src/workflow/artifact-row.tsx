import type { Api } from '../api.ts';
import { type ArtifactFile, shortName } from './artifact-files.ts';
import { CopyButton } from './copy-button.tsx';
import { formatBytes, formatMetric } from './figures.ts';
import { type DownloadState, useDownload } from './use-download.ts';

interface ArtifactRowProps {
  readonly api: Api;
  readonly workflowId: string;
  readonly file: ArtifactFile;
  readonly showsStep: boolean;
  readonly onView: () => void;
}

/** One file, with what is known of it. */
export function ArtifactRow({ api, workflowId, file, showsStep, onView }: ArtifactRowProps) {
  const { artifact, name, stepId, format } = file;
  const { size_bytes, content_type, sha256, metrics } = artifact;
  const { state, start, stop } = useDownload(api, workflowId, file);
  const isLoading = state.kind === 'loading';
  return (
    <li class="file">
      <div class="file-facts">
        <p class="file-name mono" title={name}>
          {shortName(name)}
        </p>
        <p class="small quiet">
          {showsStep && `${stepId} · `}
          {formatBytes(size_bytes)} · {content_type || 'unknown type'}
        </p>
        <ul class="chips" aria-label={`Metrics of ${shortName(name)}`} hidden={Object.keys(metrics).length === 0}>
          {Object.entries(metrics).map(([metric, value]) => (
            <li key={metric} class="chip">
              {metric} <strong>{formatMetric(value)}</strong>
            </li>
          ))}
        </ul>
        {sha256 && (
          <p class="file-digest small quiet">
            SHA-256 <code title={sha256}>{sha256.slice(0, 12)}…</code>
            <CopyButton text={sha256} what={`the SHA-256 of ${shortName(name)}`} />
          </p>
        )}
      </div>
      <div class="file-actions">
        <div class="buttons">
          {format && (
            <button type="button" class="button button-small" aria-haspopup="dialog" onClick={onView}>
              View in 3D<span class="visually-hidden">: {shortName(name)}</span>
            </button>
          )}
          <button type="button" class="button button-small" onClick={isLoading ? stop : start}>
            {isLoading ? 'Stop' : 'Download'}
            <span class="visually-hidden">: {shortName(name)}</span>
          </button>
        </div>
        <DownloadNote state={state} sizeBytes={size_bytes} name={shortName(name)} />
      </div>
    </li>
  );
}

interface DownloadNoteProps {
  readonly state: DownloadState;
  readonly sizeBytes: number;
  readonly name: string;
}

/** Its place is kept free, so that nothing moves when there is something to say. */
function DownloadNote({ state, sizeBytes, name }: DownloadNoteProps) {
  return (
    <div class="download-note small">
      {state.kind === 'loading' && (
        <>
          <progress aria-label={`Download of ${name}`} max={Math.max(1, sizeBytes)} value={state.bytes} />
          <span class="quiet">
            {formatBytes(state.bytes)} of {formatBytes(sizeBytes)}
          </span>
        </>
      )}
      <p role="status" data-kind={state.kind}>
        {state.kind === 'saved' && (state.unchecked ? `Saved, not verified: ${state.unchecked}` : 'Saved, verified')}
      </p>
      {state.kind === 'failed' && (
        <p role="alert" class="download-fault">
          {state.message}
        </p>
      )}
    </div>
  );
}
