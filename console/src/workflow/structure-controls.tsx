import type { RefObject } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { StructureView } from './draw-structure.ts';
import type { StructureFacts } from './read-structure.ts';
import { type ColourScheme, colourBy, type DrawingForm } from './structure-colours.ts';

interface StructureControlsProps {
  readonly view: StructureView;
  readonly facts: StructureFacts;
  /** What the structure is drawn in, which has the background. */
  readonly box: RefObject<HTMLElement | null>;
}

const TURN_DEGREES = 15;
const ZOOM_FACTOR = 1.25;

/** How the structure is drawn, and everything that a mouse does to it, as buttons. */
export function StructureControls({ view, facts, box }: StructureControlsProps) {
  const hasConfidence = facts.plddtScale !== undefined;
  const [form, setForm] = useState<DrawingForm>('cartoon');
  const [scheme, setScheme] = useState<ColourScheme>(hasConfidence ? 'confidence' : 'chain');
  const [spins, setSpins] = useState(false);
  const { legend } = colourBy(scheme, facts);
  useEffect(() => view.setLook(form, colourBy(scheme, facts).colourOf), [view, form, scheme, facts]);
  useEffect(() => view.spin(spins), [view, spins]);
  useBackground(view, box);
  return (
    <div class="structure-controls">
      <ul class="legend" aria-label="Legend">
        {legend.map(({ colour, text }) => (
          <li key={text}>
            <span class="swatch" style={{ backgroundColor: colour }} />
            {text}
          </li>
        ))}
      </ul>
      <div class="structure-fields">
        <label class="field-inline">
          Style
          <select class="input" value={form} onChange={(event) => setForm(event.currentTarget.value as DrawingForm)}>
            <option value="cartoon">Cartoon</option>
            <option value="trace">Backbone</option>
            <option value="stick">Sticks</option>
            <option value="sphere">Spheres</option>
          </select>
        </label>
        <label class="field-inline">
          Colour
          <select
            class="input"
            value={scheme}
            onChange={(event) => setScheme(event.currentTarget.value as ColourScheme)}
          >
            {hasConfidence && <option value="confidence">Confidence (pLDDT)</option>}
            <option value="chain">Chain</option>
          </select>
        </label>
      </div>
      <div class="buttons" role="toolbar" aria-label="View">
        <Turn name="Turn left" sign="←" onClick={() => view.turn('y', -TURN_DEGREES)} />
        <Turn name="Turn right" sign="→" onClick={() => view.turn('y', TURN_DEGREES)} />
        <Turn name="Turn up" sign="↑" onClick={() => view.turn('x', -TURN_DEGREES)} />
        <Turn name="Turn down" sign="↓" onClick={() => view.turn('x', TURN_DEGREES)} />
        <Turn name="Zoom in" sign="+" onClick={() => view.zoom(ZOOM_FACTOR)} />
        <Turn name="Zoom out" sign="−" onClick={() => view.zoom(1 / ZOOM_FACTOR)} />
        <button type="button" class="button button-small" aria-pressed={spins} onClick={() => setSpins(!spins)}>
          Spin
        </button>
        <button
          type="button"
          class="button button-small"
          onClick={() => {
            setSpins(false);
            view.reset();
          }}
        >
          Reset
        </button>
      </div>
    </div>
  );
}

function Turn({ name, sign, onClick }: { readonly name: string; readonly sign: string; readonly onClick: () => void }) {
  return (
    <button type="button" class="button button-small turn" aria-label={name} title={name} onClick={onClick}>
      <span aria-hidden="true">{sign}</span>
    </button>
  );
}

/** The drawing has the background of its element, in both themes. */
function useBackground(view: StructureView, box: RefObject<HTMLElement | null>): void {
  useEffect(() => {
    const update = () => box.current && view.setBackground(getComputedStyle(box.current).backgroundColor);
    update();
    const theme = new MutationObserver(update);
    theme.observe(document.documentElement, { attributeFilter: ['data-theme'] });
    const system = matchMedia('(prefers-color-scheme: dark)');
    system.addEventListener('change', update);
    return () => {
      theme.disconnect();
      system.removeEventListener('change', update);
    };
  }, [view, box]);
}
