import type { Workflow } from '../api.ts';
import { CopyButton } from './copy-button.tsx';
import { ScrollBox } from './scroll-box.tsx';

/** The specification that the workflow was submitted with, as JSON. */
export function SpecView({ workflow: { name, labels, steps } }: { readonly workflow: Workflow }) {
  const text = JSON.stringify({ name, labels, steps }, null, 2);
  return (
    <section class="stack-small" aria-label="Specification">
      <div class="table-bar">
        <p class="small quiet">What was submitted, with what the gateway has filled in.</p>
        <CopyButton text={text} what="the specification" />
      </div>
      <ScrollBox class="json json-tall" label="Specification as JSON">
        <pre>{text}</pre>
      </ScrollBox>
    </section>
  );
}
