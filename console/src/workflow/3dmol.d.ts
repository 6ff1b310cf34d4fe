/** What is used here of 3Dmol, whose package has no types for this build of it. */
declare module '3dmol/build/3Dmol.es6-min.js' {
  export interface ViewedAtom {
    readonly b?: number;
    readonly chain?: string;
  }

  export interface DrawingStyle {
    readonly colorfunc: (atom: ViewedAtom) => string;
    readonly [name: string]: unknown;
  }

  export interface GLViewer {
    addModel(text: string, format: string): { selectedAtoms(selection: object): unknown[] };
    setStyle(selection: object, style: Readonly<Record<string, DrawingStyle>>): void;
    setBackgroundColor(color: string, alpha: number): void;
    getView(): number[];
    setView(view: number[]): void;
    zoomTo(): void;
    zoom(factor: number): void;
    render(): void;
    clear(): void;
    getRenderer(): { isLost(): boolean; getContext(): WebGL2RenderingContext | null };
    getCanvas(): HTMLCanvasElement;
    /** Observers of its container's size and place. */
    readonly divwatcher?: ResizeObserver;
    readonly intwatcher?: IntersectionObserver;
  }

  export function createViewer(element: HTMLElement, config: object): GLViewer;
}
