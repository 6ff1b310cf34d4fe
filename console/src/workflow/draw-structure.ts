import type { DrawingStyle, GLViewer, ViewedAtom } from '3dmol/build/3Dmol.es6-min.js';
import type { StructureFormat } from './artifact-files.ts';
import type { DrawingForm } from './structure-colours.ts';
import { turnView } from './turn-view.ts';

export interface StructureView {
  readonly setLook: (form: DrawingForm, colourOf: (atom: ViewedAtom) => string) => void;
  /** A CSS colour as `getComputedStyle` writes it. */
  readonly setBackground: (colour: string) => void;
  readonly turn: (axis: 'x' | 'y', degrees: number) => void;
  readonly zoom: (factor: number) => void;
  readonly spin: (on: boolean) => void;
  /** Back to how it was first seen. */
  readonly reset: () => void;
  readonly close: () => void;
}

const STYLES: Readonly<Record<DrawingForm, (color: DrawingStyle) => Readonly<Record<string, DrawingStyle>>>> = {
  cartoon: (color) => ({ cartoon: color }),
  trace: (color) => ({ cartoon: { ...color, style: 'trace', thickness: 0.5 } }),
  stick: (color) => ({ stick: { ...color, radius: 0.18 } }),
  sphere: (color) => ({ sphere: color }),
};

const SPIN_DEGREES_PER_MS = 0.03;
const LONGEST_FRAME_MS = 100;

/** What draws in three dimensions: undefined where nothing can. */
function findRenderer(): 'hardware' | 'software' | undefined {
  const context = document.createElement('canvas').getContext('webgl2');
  if (!context) return undefined;
  const { UNMASKED_RENDERER_WEBGL = context.RENDERER } = context.getExtension('WEBGL_debug_renderer_info') ?? {};
  const name = String(context.getParameter(UNMASKED_RENDERER_WEBGL));
  context.getExtension('WEBGL_lose_context')?.loseContext();
  return /swiftshader|llvmpipe|software|basic render/i.test(name) ? 'software' : 'hardware';
}

/**
 * Draws a structure in an element that is on the page and has a size, with a library that is loaded only now. Throws an
 * Error with a sentence for people.
 */
export async function drawStructure(box: HTMLElement, text: string, format: StructureFormat): Promise<StructureView> {
  const renderer = findRenderer();
  if (!renderer) throw new Error('This browser cannot draw in 3D: it has no WebGL 2, or WebGL is switched off.');
  const { createViewer } = await import('3dmol/build/3Dmol.es6-min.js');
  const { made: viewer, forget } = collectListeners([window, document.body], () =>
    // Smooth edges cost a processor that has no help ten times as much.
    createViewer(box, { antialias: renderer === 'hardware' }),
  );
  let stopSpin = () => {};
  const close = () => {
    stopSpin();
    viewer.divwatcher?.disconnect();
    viewer.intwatcher?.disconnect();
    forget();
    viewer.clear();
    const context = viewer.getRenderer().getContext();
    viewer.getCanvas().remove();
    // The library keeps one context for everything that it draws, and makes a new one when this is lost.
    context?.getExtension('WEBGL_lose_context')?.loseContext();
  };
  if (viewer.addModel(text, format === 'pdb' ? 'pdb' : 'cif').selectedAtoms({}).length === 0) {
    close();
    throw new Error('The file has no atoms that can be drawn.');
  }
  viewer.zoomTo();
  // The library fits the height alone.
  viewer.zoom(Math.min(1, box.clientWidth / box.clientHeight));
  const first = viewer.getView();
  return {
    setLook(form, colourOf) {
      viewer.setStyle({}, STYLES[form]({ colorfunc: colourOf }));
      viewer.render();
    },
    setBackground(colour) {
      viewer.setBackgroundColor(colour, 1);
    },
    turn(axis, degrees) {
      viewer.setView(turnView(viewer.getView(), axis, degrees));
    },
    zoom(factor) {
      viewer.zoom(factor);
    },
    spin(on) {
      stopSpin();
      if (on) stopSpin = startSpin(viewer);
    },
    reset() {
      viewer.setView(first);
    },
    close,
  };
}

/** The library's own spin does not wait for a machine that draws slowly, and what it asks for piles up. */
function startSpin(viewer: GLViewer): () => void {
  let last = performance.now();
  let frame = requestAnimationFrame(function turn(now) {
    const degrees = Math.min(now - last, LONGEST_FRAME_MS) * SPIN_DEGREES_PER_MS;
    viewer.setView(turnView(viewer.getView(), 'y', degrees));
    last = now;
    frame = requestAnimationFrame(turn);
  });
  return () => cancelAnimationFrame(frame);
}

/** The library never takes back its listeners on the window, and they would keep every structure that was looked at. */
function collectListeners<T>(targets: readonly EventTarget[], make: () => T): { made: T; forget: () => void } {
  const taken: (() => void)[] = [];
  for (const target of targets) {
    target.addEventListener = (type: string, listener: EventListener, options?: AddEventListenerOptions) => {
      taken.push(() => target.removeEventListener(type, listener, options));
      EventTarget.prototype.addEventListener.call(target, type, listener, options);
    };
  }
  try {
    const made = make();
    return {
      made,
      forget() {
        for (const remove of taken) remove();
      },
    };
  } finally {
    // What the prototype has comes back into sight.
    for (const target of targets) Reflect.deleteProperty(target, 'addEventListener');
  }
}
