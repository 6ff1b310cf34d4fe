import type { State } from '../api.ts';

const SHAPES: Readonly<Record<State, string>> = {
  QUEUED: 'M8 4.5V8l2.25 1.5M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2z',
  RUNNING: 'M14 8a6 6 0 1 1-6-6',
  SUCCEEDED: 'M3 8.5l3.5 3.5L13 4.5',
  FAILED: 'M4 4l8 8M12 4l-8 8',
  CANCELLED: 'M3.75 3.75l8.5 8.5M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2z',
  UNKNOWN: 'M6 6a2 2 0 1 1 2.75 1.85c-.5.25-.75.6-.75 1.15v.5M8 12v.01',
};

/** A shape for each state, for those who see no colours. The word stands beside it. */
export function StateIcon({ state }: { readonly state: State }) {
  return (
    <svg class="state-icon" data-state={state} viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
      <path d={SHAPES[state]} />
    </svg>
  );
}
