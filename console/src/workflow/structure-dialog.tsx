import { useId } from 'preact/hooks';
import type { Api } from '../api.ts';
import { type ArtifactFile, shortName } from './artifact-files.ts';
import { countOf, formatBytes } from './figures.ts';
import { Modal } from './modal.tsx';
import type { StructureFacts } from './read-structure.ts';
import { StructureControls } from './structure-controls.tsx';
import { useStructure } from './use-structure.ts';
import './structure.css';

interface StructureDialogProps {
  readonly api: Api;
  readonly workflowId: string;
  readonly file: ArtifactFile;
  readonly onClose: () => void;
}

/** A structure in three dimensions, and in words. */
export function StructureDialog({ api, workflowId, file, onClose }: StructureDialogProps) {
  const { state, box } = useStructure(api, workflowId, file);
  const factsId = useId();
  const facts = 'facts' in state ? state.facts : undefined;
  return (
    <Modal title={`Structure ${shortName(file.name)}`} class="structure" onClose={onClose}>
      <button type="button" class="button button-small modal-close" onClick={onClose}>
        Close
      </button>
      <div class="structure-stage">
        <div
          ref={box}
          class="structure-box"
          role="img"
          aria-label={`3D drawing of ${shortName(file.name)}`}
          aria-describedby={factsId}
        />
        {state.kind !== 'drawn' && (
          <div class="structure-message">
            {state.kind === 'failed' ? (
              <p role="alert">{state.message}</p>
            ) : (
              <p role="status">
                {state.kind === 'drawing'
                  ? 'Drawing…'
                  : `Reading ${formatBytes(state.bytes)} of ${formatBytes(file.artifact.size_bytes)}…`}
              </p>
            )}
          </div>
        )}
      </div>
      <p id={factsId} class="structure-facts small">
        {facts ? describe(facts) : 'Not read yet.'}
      </p>
      {state.kind === 'drawn' && <StructureControls view={state.view} facts={state.facts} box={box} />}
    </Modal>
  );
}

function describe({ chains, residues, atoms, meanPlddt }: StructureFacts): string {
  const list = chains.slice(0, 12).map((chain) => `chain ${chain.id} with ${countOf(chain.residues, 'residue')}`);
  const more = chains.length > 12 ? `, and ${chains.length - 12} more` : '';
  const confidence = meanPlddt === undefined ? '' : ` Mean pLDDT ${meanPlddt.toFixed(1)}.`;
  const totals = `${countOf(chains.length, 'chain')}, ${countOf(residues, 'residue')}, ${countOf(atoms, 'atom')}`;
  return `${totals}: ${list.join(', ')}${more}.${confidence}`;
}
