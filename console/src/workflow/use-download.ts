import { useEffect, useRef, useState } from 'preact/hooks';
import type { Api } from '../api.ts';
import type { ArtifactFile } from './artifact-files.ts';
import { downloadArtifact } from './download-artifact.ts';
import { saveBlob } from './save-blob.ts';

export type DownloadState =
  | { readonly kind: 'idle' }
  | { readonly kind: 'loading'; readonly bytes: number }
  | { readonly kind: 'saved'; readonly unchecked: string | undefined }
  | { readonly kind: 'failed'; readonly message: string };

const DRAW_EVERY_MS = 100;

/** Downloads a file into the reader's downloads. It stops when the component goes. */
export function useDownload(api: Api, workflowId: string, file: ArtifactFile) {
  const [state, setState] = useState<DownloadState>({ kind: 'idle' });
  const running = useRef<AbortController>(undefined);
  useEffect(() => () => running.current?.abort(), []);

  async function start(): Promise<void> {
    running.current?.abort();
    const controller = new AbortController();
    running.current = controller;
    setState({ kind: 'loading', bytes: 0 });
    let drawnAt = 0;
    const onProgress = (bytes: number) => {
      const now = performance.now();
      if (now - drawnAt < DRAW_EVERY_MS) return;
      drawnAt = now;
      setState({ kind: 'loading', bytes });
    };
    try {
      const { blob, unchecked } = await downloadArtifact(api, workflowId, file, {
        signal: controller.signal,
        onProgress,
      });
      saveBlob(blob, file.name);
      setState({ kind: 'saved', unchecked });
    } catch (error) {
      if (controller.signal.aborted) return;
      setState({ kind: 'failed', message: error instanceof Error ? error.message : String(error) });
    }
  }

  function stop(): void {
    running.current?.abort();
    setState({ kind: 'idle' });
  }

  return { state, start, stop };
}
