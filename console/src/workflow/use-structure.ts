import { useEffect, useRef, useState } from 'preact/hooks';
import type { Api } from '../api.ts';
import type { ArtifactFile } from './artifact-files.ts';
import { downloadArtifact } from './download-artifact.ts';
import { drawStructure, type StructureView } from './draw-structure.ts';
import { readStructure, type StructureFacts } from './read-structure.ts';

export type StructureState =
  | { readonly kind: 'loading'; readonly bytes: number }
  | { readonly kind: 'drawing'; readonly facts: StructureFacts }
  | { readonly kind: 'drawn'; readonly facts: StructureFacts; readonly view: StructureView }
  /** With facts where only the drawing has failed. */
  | { readonly kind: 'failed'; readonly message: string; readonly facts?: StructureFacts };

/** Beyond this a browser draws for minutes. */
const MOST_BYTES = 64_000_000;

/** Reads a structure, checks it, and draws it in the element of `box`; all of it is given back when the component goes. */
export function useStructure(api: Api, workflowId: string, file: ArtifactFile) {
  const [state, setState] = useState<StructureState>({ kind: 'loading', bytes: 0 });
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const closed = new AbortController();
    let view: StructureView | undefined;
    let facts: StructureFacts | undefined;
    const set = (next: StructureState) => closed.signal.aborted || setState(next);
    const open = async () => {
      if (file.artifact.size_bytes > MOST_BYTES) throw new Error('The file is too large to be drawn. Download it.');
      const { blob } = await downloadArtifact(api, workflowId, file, {
        signal: closed.signal,
        onProgress: (bytes) => set({ kind: 'loading', bytes }),
      });
      const text = await blob.text();
      facts = readStructure(text, file.format ?? 'pdb');
      set({ kind: 'drawing', facts });
      closed.signal.throwIfAborted();
      view = await drawStructure(box.current!, text, file.format ?? 'pdb');
      if (closed.signal.aborted) return view.close();
      set({ kind: 'drawn', facts, view });
    };
    open().catch((error: unknown) => {
      const message = error instanceof Error ? error.message : String(error);
      set({ kind: 'failed', message, ...(facts && { facts }) });
    });
    return () => {
      closed.abort();
      view?.close();
      view = undefined;
    };
  }, [api, workflowId, file]);
  return { state, box };
}
