import type { Span } from './json-text.ts';
import type { Mistake } from './mistakes.ts';

interface MistakeListProps {
  readonly mistakes: readonly Mistake[];
  /** Puts the caret there. */
  readonly onGo: (span: Span) => void;
}

export const MISTAKES_ID = 'spec-mistakes';

/** What is wrong in the text, each with a button that leads to it. */
export function MistakeList({ mistakes, onGo }: MistakeListProps) {
  return (
    <div id={MISTAKES_ID} role="alert" class={mistakes.length > 0 ? 'notice' : undefined} data-kind="error">
      {mistakes.length > 0 && (
        <>
          <h2 class="mistakes-title">Not submitted</h2>
          <ul class="mistakes">
            {mistakes.map(({ message, pointer, span, position }) => (
              <li key={`${span?.start} ${message}`}>
                {span && position && (
                  <button type="button" class="button button-small" onClick={() => onGo(span)}>
                    Line {position.line}, column {position.column}
                  </button>
                )}
                <span>
                  {pointer && <code>{pointer}</code>} {message}
                </span>
              </li>
            ))}
          </ul>
        </>
      )}
    </div>
  );
}
