import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { Api, Workflow } from '../api.ts';
import { announce } from './announcements.ts';
import type { FollowStatus } from './follow-events.ts';
import { trackWorkflow, type WorkflowTracker } from './track-workflow.ts';

export interface WorkflowView {
  /** Undefined until it has been read. */
  readonly workflow: Workflow | undefined;
  readonly status: FollowStatus;
  /** Why the workflow could not be read at all. */
  readonly fault: unknown;
  /** What has happened last, for somebody who cannot see it. */
  readonly announcement: string;
  /** Takes in what a call has answered, and follows the workflow if it is open again. */
  readonly take: (answer: Workflow) => void;
  /** Tries again at once, whatever has failed. */
  readonly again: () => void;
}

interface Shown {
  readonly workflow: Workflow | undefined;
  readonly announcement: string;
}

/** Reads a workflow and follows it for as long as the component is there. */
export function useWorkflow(api: Api, workflowId: string): WorkflowView {
  const [shown, setShown] = useState<Shown>({ workflow: undefined, announcement: '' });
  const [status, setStatus] = useState<FollowStatus>({ kind: 'connecting' });
  const [fault, setFault] = useState<unknown>();
  const tracker = useRef<WorkflowTracker>(undefined);

  useEffect(() => {
    const onWorkflow = (workflow: Workflow) =>
      setShown((before) => ({
        workflow,
        announcement: announce(before.workflow, workflow) || before.announcement,
      }));
    const current = trackWorkflow({ api, workflowId, onWorkflow, onStatus: setStatus, onFault: setFault });
    tracker.current = current;
    const look = () => (document.hidden ? current.sleep() : current.wake());
    if (document.hidden) current.sleep();
    document.addEventListener('visibilitychange', look);
    addEventListener('online', current.again);
    return () => {
      document.removeEventListener('visibilitychange', look);
      removeEventListener('online', current.again);
      current.close();
    };
  }, [api, workflowId]);

  const take = useCallback((answer: Workflow) => tracker.current?.take(answer), []);
  const again = useCallback(() => tracker.current?.again(), []);
  return useMemo(() => ({ ...shown, status, fault, take, again }), [shown, status, fault, take, again]);
}
