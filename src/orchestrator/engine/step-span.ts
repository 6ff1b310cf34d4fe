import type { Span, Tracing } from '../../shared/tracing.ts';
import type { StepJob, StepOutcome } from '../runners/runner.ts';

export interface StepSpan extends Pick<Span, 'headers' | 'spanId'> {
  /** Ends it; a fault tells its code, which is a machine's word, and not its message. */
  readonly end: (outcome: StepOutcome | 'aborted' | 'broken') => void;
}

const CODE = /^[A-Z][A-Z0-9_]{0,63}$/;

/**
 * The span of one run of a step, within the call that submitted its workflow: that call's trace context is kept with the
 * workflow, so this holds after a restart and at another replica, too. A run that is repeated after a crash is another span.
 */
export function startStepSpan(tracing: Tracing, job: StepJob): StepSpan {
  const { headers, spanId, end } = tracing.startSpan(`step ${job.tool}`, 'internal', { traceparent: job.traceparent });
  return {
    headers,
    spanId,
    end(outcome) {
      const { word, error } = tell(outcome);
      end({
        attributes: {
          'foldforge.workflow_id': job.workflowId,
          'foldforge.step_id': job.stepId,
          'foldforge.attempt': job.attempt,
          'foldforge.tool': job.tool,
          'foldforge.outcome': word,
        },
        error,
      });
    },
  };
}

function tell(outcome: StepOutcome | 'aborted' | 'broken'): { readonly word: string; readonly error?: string } {
  if (outcome === 'aborted') return { word: 'aborted' };
  if (outcome === 'broken') return { word: 'broken', error: 'INTERNAL' };
  if ('output' in outcome) return { word: 'succeeded' };
  const { code } = outcome.fault;
  return { word: 'failed', error: CODE.test(code) ? code : '_OTHER' };
}
