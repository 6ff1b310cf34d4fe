import type { StreamSlots } from '../access/stream-slots.ts';
import type { RequestContext } from '../context.ts';
import type { EventHub } from '../upstream/event-hub.ts';
import { changedAtMs } from '../wire/sse.ts';

type Workflow = Parameters<typeof changedAtMs>[0];

const NOTHING = Buffer.alloc(0);

export type LongPolls = ReturnType<typeof createLongPolls>;

/** Requests that wait for a workflow's end, fed by the same hub as the event streams and counted with them. */
export function createLongPolls({ hub, slots }: { hub: EventHub; slots: StreamSlots }) {
  return {
    /**
     * Takes a slot, before the workflow is read. Then waits until it is over, which is answered with true, or `waitMs` have
     * passed, the client has left or the process shuts down: false. Rejects when the key is refused or the orchestrator stays lost.
     */
    begin(c: RequestContext) {
      const { caller, call, input } = c.env.facts;
      const workflowId = input.params.id!;
      const slot = slots.take(caller, c.env.outgoing);
      const mark = hub.mark(workflowId);
      return (workflow: Workflow, waitMs: number): Promise<boolean> => {
        c.env.facts.waiting = true;
        c.env.facts.endWork?.('waits');
        let stop: () => void;
        let timer: NodeJS.Timeout;
        return new Promise<boolean>((resolve, reject) => {
          const giveUp = () => resolve(false);
          timer = setTimeout(giveUp, waitMs);
          stop = hub.watch(
            { workflowId, cursor: undefined, metadata: call.metadata, changedAtMs: changedAtMs(workflow) },
            {
              write: () => undefined,
              ready: () => undefined,
              end: (outcome) => ('error' in outcome ? reject(outcome.error) : resolve(true)),
            },
            mark,
            () => NOTHING,
          );
          call.signal.addEventListener('abort', giveUp, { once: true });
          if (call.signal.aborted) giveUp();
          slot.onEnd((reason) => (reason.kind === 'refused' ? reject(reason.error) : giveUp()));
        }).finally(() => {
          clearTimeout(timer);
          stop();
        });
      };
    },
  };
}
