import type { ComponentChildren } from 'preact';

/** One term of a `<dl class="facts">` and what it is. */
export function Fact({ term, children }: { readonly term: string; readonly children: ComponentChildren }) {
  return (
    <div class="fact">
      <dt>{term}</dt>
      <dd>{children}</dd>
    </div>
  );
}
