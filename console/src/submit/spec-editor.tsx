import type { RefObject } from 'preact';
import { useMemo, useRef } from 'preact/hooks';
import type { Span } from './json-text.ts';
import { MISTAKES_ID } from './mistake-list.tsx';
import type { Mistake } from './mistakes.ts';
import { positionOf } from './text-position.ts';

interface SpecEditorProps {
  readonly editor: RefObject<HTMLTextAreaElement | null>;
  readonly text: string;
  readonly mistakes: readonly Mistake[];
  readonly onEdit: (text: string) => void;
}

/** In pixels, as in submit.css. */
const LINE_HEIGHT = 20;
const LINES_ABOVE = 4;

/** A text field for JSON with the numbers of its lines; those with mistakes are marked. */
export function SpecEditor({ editor, text, mistakes, onEdit }: SpecEditorProps) {
  const gutter = useRef<HTMLDivElement>(null);
  const lineCount = useMemo(() => text.split('\n').length, [text]);
  const numbers = useMemo(() => Array.from({ length: lineCount }, (_, line) => line + 1).join('\n'), [lineCount]);
  const lines = new Set(mistakes.flatMap(({ position }) => (position ? [position.line] : [])));

  function followScroll(): void {
    gutter.current!.scrollTop = editor.current!.scrollTop;
  }

  return (
    <div class="field">
      <label for="spec">Specification, as JSON</label>
      <div class="editor">
        <div ref={gutter} class="editor-gutter" aria-hidden="true">
          <pre>{numbers}</pre>
          {[...lines].map((line) => (
            <LineMark key={line} line={line} />
          ))}
        </div>
        <textarea
          ref={editor}
          id="spec"
          value={text}
          wrap="off"
          rows={24}
          spellcheck={false}
          autocapitalize="off"
          autocomplete="off"
          aria-invalid={mistakes.length > 0}
          aria-describedby={MISTAKES_ID}
          onInput={(event) => onEdit(event.currentTarget.value)}
          onScroll={followScroll}
        />
      </div>
    </div>
  );
}

/** Its place is set from here: a style attribute would break the content security policy. */
function LineMark({ line }: { readonly line: number }) {
  const place = (mark: HTMLElement | null) => mark?.style.setProperty('--line', String(line));
  return <span ref={place} class="editor-mark" data-line={line} />;
}

/** Selects a part of the text, and scrolls to it. */
export function selectSpan(editor: HTMLTextAreaElement, { start, end }: Span): void {
  const { line, column } = positionOf(editor.value, start);
  editor.focus({ preventScroll: true });
  editor.setSelectionRange(start, end);
  editor.scrollTop = Math.max(0, (line - 1 - LINES_ABOVE) * LINE_HEIGHT);
  const left = (column - 1) * characterWidth(editor);
  // The whole line from its beginning, if the place can be seen so.
  editor.scrollLeft = left < editor.clientWidth * 0.75 ? 0 : left - editor.clientWidth / 2;
  editor.scrollIntoView({ block: 'nearest' });
}

/** In pixels; all of them are as wide. */
function characterWidth(element: HTMLElement): number {
  const context = document.createElement('canvas').getContext('2d')!;
  context.font = getComputedStyle(element).font;
  return context.measureText('0').width;
}
