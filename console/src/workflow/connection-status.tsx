import type { FollowStatus } from './follow-events.ts';

interface ConnectionStatusProps {
  readonly status: FollowStatus;
  readonly onAgain: () => void;
}

/** Whether what the page shows is what is happening now. */
export function ConnectionStatus({ status, onAgain }: ConnectionStatusProps) {
  return (
    <div class="connection" data-kind={status.kind}>
      <p role="status">{textOf(status)}</p>
      {(status.kind === 'reconnecting' || status.kind === 'failed') && (
        <button type="button" class="button button-small" onClick={onAgain}>
          {status.kind === 'failed' ? 'Try again' : 'Reconnect now'}
        </button>
      )}
    </div>
  );
}

function textOf(status: FollowStatus): string {
  switch (status.kind) {
    case 'connecting':
      return 'Connecting…';
    case 'live':
      return 'Live';
    case 'reconnecting':
      return `Connection lost. Trying again in ${Math.ceil(status.waitMs / 1_000)} s.`;
    case 'over':
      return 'Over, nothing more changes by itself';
    case 'failed':
      return `No live updates: ${status.fault.message}`;
  }
}
