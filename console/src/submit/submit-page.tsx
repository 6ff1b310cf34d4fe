import type { TargetedSubmitEvent } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { type Api, ApiFault } from '../api.ts';
import { FaultNotice } from '../fault-notice.tsx';
import { navigate, workflowPath } from '../router.ts';
import { createAttempts } from './attempts.ts';
import { EXAMPLES } from './examples.ts';
import { MistakeList } from './mistake-list.tsx';
import { contractMistakes, type Mistake, syntaxMistake } from './mistakes.ts';
import { SpecEditor, selectSpan } from './spec-editor.tsx';
import { specText } from './spec-text.ts';
import './submit.css';

interface SubmitPageProps {
  readonly api: Api;
  /** `?from=<id>` begins with the spec of that workflow. */
  readonly search: string;
}

export function SubmitPage({ api, search }: SubmitPageProps) {
  const editor = useRef<HTMLTextAreaElement>(null);
  const attempts = useMemo(() => createAttempts(), []);
  const from = new URLSearchParams(search).get('from');
  const [text, setText] = useState(from === null ? EXAMPLES[0]!.text : '');
  const [mistakes, setMistakes] = useState<readonly Mistake[]>([]);
  const [fault, setFault] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  const isSending = useRef(false);
  const isLeft = useRef(false);
  useEffect(() => {
    isLeft.current = false;
    return () => {
      isLeft.current = true;
    };
  }, []);

  function edit(next: string): void {
    setText(next);
    setMistakes([]);
    setFault(undefined);
  }

  useEffect(() => {
    // Any answer says how much of the quota is left; why there is none is said when something is submitted.
    api.listWorkflows({ pageSize: 1 }).catch(() => {});
  }, [api]);

  useEffect(() => {
    if (from === null) return;
    const left = new AbortController();
    api
      .getWorkflow(from, { signal: left.signal })
      .then((workflow) => edit(specText(workflow)))
      .catch((error: unknown) => !left.signal.aborted && setFault(error));
    return () => left.abort();
  }, [api, from]);

  function point(found: readonly Mistake[]): void {
    setMistakes(found);
    const first = found.find(({ span }) => span);
    if (first?.span) selectSpan(editor.current!, first.span);
    else editor.current!.focus();
  }

  async function submit(event: TargetedSubmitEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault();
    if (isSending.current) return;
    const wrong = syntaxMistake(text);
    setFault(undefined);
    if (wrong) return point([wrong]);
    setMistakes([]);
    isSending.current = true;
    setBusy(true);
    try {
      const { id } = await api.submitWorkflow(text, attempts.keyFor(text));
      attempts.accepted();
      // Whoever has gone elsewhere meanwhile stays there: the list has it.
      if (!isLeft.current) navigate(workflowPath(id));
    } catch (error) {
      const found = error instanceof ApiFault && error.status === 400 ? contractMistakes(text, error) : [];
      if (found.length > 0) point(found);
      else setFault(error);
    } finally {
      isSending.current = false;
      setBusy(false);
    }
  }

  return (
    <form class="stack submit" onSubmit={submit} noValidate>
      <h1 tabIndex={-1}>Submit a workflow</h1>
      <fieldset class="field">
        <legend class="label small">Begin with</legend>
        <div class="buttons examples">
          {EXAMPLES.map((example) => (
            <button key={example.name} type="button" class="button button-small" onClick={() => edit(example.text)}>
              {example.name}
            </button>
          ))}
          <button type="button" class="button button-small button-quiet" onClick={() => edit('')}>
            Nothing
          </button>
        </div>
      </fieldset>
      <SpecEditor editor={editor} text={text} mistakes={mistakes} onEdit={edit} />
      <MistakeList mistakes={mistakes} onGo={(span) => selectSpan(editor.current!, span)} />
      {fault !== undefined && (
        <FaultNotice fault={fault}>
          {isLost(fault) && <p>Submitting the same text again is safe: it will run once.</p>}
        </FaultNotice>
      )}
      <div class="buttons">
        <button type="submit" class="button button-primary" aria-disabled={isBusy}>
          {isBusy ? 'Submitting…' : 'Submit'}
        </button>
      </div>
    </form>
  );
}

/** Whether the workflow may have been accepted although it does not seem so. */
function isLost(fault: unknown): boolean {
  return fault instanceof ApiFault && (fault.status === 0 || fault.status >= 500 || fault.status === 409);
}
