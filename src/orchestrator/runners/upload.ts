import type { Log } from '../../shared/log.ts';
import type { PutArtifact } from './artifact-writer.ts';
import type { ArtifactRecord, StepJob } from './runner.ts';
import { StepFailure } from './step-failure.ts';

export interface MadeFile {
  readonly text: string;
  readonly contentType: string;
  /** Without a dot. */
  readonly extension: string;
  readonly metrics: Readonly<Record<string, number>>;
}

/** Stores a file of a step. Throws StepFailure when the store did not take it, and the reason of an aborted `signal`. */
export type Upload = (job: StepJob, file: MadeFile, signal: AbortSignal) => Promise<ArtifactRecord>;

/** The log gets the cause of a failed upload, which the fault does not tell. */
export function createUpload(putArtifact: PutArtifact, log?: Log): Upload {
  return async (job, file, signal) => {
    const bytes = new TextEncoder().encode(file.text);
    try {
      return await putArtifact(bytes, file.contentType, file.extension, file.metrics, signal);
    } catch (cause) {
      signal.throwIfAborted();
      log?.error({ err: cause, step_run: job.requestId }, 'an artifact could not be stored');
      const fault = {
        code: 'ARTIFACT_UPLOAD_FAILED',
        message: 'the artifact store did not take a file that the step made',
        retryable: true,
      };
      throw new StepFailure(fault, { cause });
    }
  };
}
