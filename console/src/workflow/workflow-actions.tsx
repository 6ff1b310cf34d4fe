import { useRef, useState } from 'preact/hooks';
import type { Api, Workflow } from '../api.ts';
import { FaultNotice } from '../fault-notice.tsx';
import { BASE, Link } from '../router.ts';
import { isOver } from './apply-event.ts';
import { Modal } from './modal.tsx';

interface WorkflowActionsProps {
  readonly api: Api;
  readonly workflow: Workflow;
  /** Gets the workflow as it is after the action. */
  readonly onDone: (workflow: Workflow) => void;
}

/** What can be done to a workflow. The buttons stay where they are, also when they can do nothing. */
export function WorkflowActions({ api, workflow, onDone }: WorkflowActionsProps) {
  const { id, state } = workflow;
  const [asks, setAsks] = useState(false);
  const cancel = useAction(
    () => api.cancelWorkflow(id),
    (answer) => {
      setAsks(false);
      onDone(answer);
    },
  );
  const retry = useAction(() => api.retryWorkflow(id), onDone);
  const canCancel = !isOver(workflow);
  const canRetry = state === 'FAILED' && !retry.pending;
  return (
    <div class="workflow-actions">
      <div class="buttons">
        <button
          type="button"
          class="button"
          aria-disabled={!canRetry}
          title={state === 'FAILED' ? undefined : 'Only a failed workflow can be retried'}
          onClick={() => canRetry && retry.run()}
        >
          {retry.pending ? 'Retrying…' : 'Retry'}
        </button>
        <button
          type="button"
          class="button button-danger"
          aria-disabled={!canCancel}
          aria-haspopup="dialog"
          title={canCancel ? undefined : 'The workflow is over'}
          onClick={() => canCancel && setAsks(true)}
        >
          Cancel
        </button>
        <Link class="button" href={`${BASE}submit?from=${encodeURIComponent(id)}`}>
          Submit again as new
        </Link>
      </div>
      {retry.fault !== undefined && <FaultNotice fault={retry.fault} />}
      {asks && (
        <Modal title="Cancel this workflow?" onClose={() => cancel.pending || setAsks(false)}>
          <p>Steps that wait or run are stopped. What finished steps have made is kept.</p>
          {cancel.fault !== undefined && <FaultNotice fault={cancel.fault} />}
          {!canCancel && <p role="status">It is over already: nothing is left to cancel.</p>}
          <div class="buttons">
            <button
              type="button"
              class="button"
              aria-disabled={cancel.pending}
              onClick={() => cancel.pending || setAsks(false)}
            >
              {canCancel ? 'Keep it running' : 'Close'}
            </button>
            <button
              type="button"
              class="button button-danger"
              aria-disabled={cancel.pending || !canCancel}
              onClick={() => canCancel && cancel.run()}
            >
              {cancel.pending ? 'Cancelling…' : 'Cancel the workflow'}
            </button>
          </div>
        </Modal>
      )}
    </div>
  );
}

/** A call that is made once at a time, with what came of it. */
function useAction<T>(call: () => Promise<T>, onDone: (answer: T) => void) {
  const [pending, setPending] = useState(false);
  const [fault, setFault] = useState<unknown>();
  // A second click may come before the first one is drawn.
  const isRunning = useRef(false);
  async function run(): Promise<void> {
    if (isRunning.current) return;
    isRunning.current = true;
    setPending(true);
    setFault(undefined);
    try {
      onDone(await call());
    } catch (error) {
      setFault(error);
    } finally {
      isRunning.current = false;
      setPending(false);
    }
  }
  return { pending, fault, run };
}
