import type { FieldFault } from '../api.ts';
import { JsonFault, parseJsonText, type Span } from './json-text.ts';
import { locatePointer, locateSteps } from './locate-pointer.ts';
import { positionOf, type TextPosition } from './text-position.ts';

/** Something that is wrong in the text, and where, if that is known. */
export interface Mistake {
  readonly message: string;
  /** The field, as in `/steps/0/tool`. */
  readonly pointer?: string;
  readonly span?: Span;
  readonly position?: TextPosition;
}

/** Why the text cannot even be sent: it is no JSON. Undefined when it is. */
export function syntaxMistake(text: string): Mistake | undefined {
  if (text.trim() === '') return { message: 'There is nothing to submit yet.' };
  try {
    parseJsonText(text);
    return undefined;
  } catch (error) {
    if (!(error instanceof JsonFault)) throw error;
    const { message, offset } = error;
    return at(text, { message }, { start: offset, end: Math.min(offset + 1, text.length) });
  }
}

/** What the gateway found in the text, each at its place. */
export function contractMistakes(
  text: string,
  { message, errors = [] }: { readonly message: string; readonly errors?: readonly FieldFault[] | undefined },
): Mistake[] {
  const root = parseJsonText(text);
  if (errors.length === 0) {
    return locateSteps(root, message).map((span) => at(text, { message }, span));
  }
  return errors.map(({ pointer, message: text_ }) => {
    const span = locatePointer(root, pointer);
    const mistake = { pointer, message: text_ };
    return span ? at(text, mistake, span) : mistake;
  });
}

function at(text: string, mistake: Mistake, span: Span): Mistake {
  return { ...mistake, span, position: positionOf(text, span.start) };
}
