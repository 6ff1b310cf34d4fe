import type { ComponentChildren } from 'preact';
import { useMemo } from 'preact/hooks';
import { ApiFault } from './api.ts';
import { retryText } from './retry-time.ts';

interface FaultNoticeProps {
  /** Whatever was thrown. */
  readonly fault: unknown;
  /** What more there is to say, or to do. */
  readonly children?: ComponentChildren;
}

/** Says why something failed, and when it may be tried again. */
export function FaultNotice({ fault, children }: FaultNoticeProps) {
  const facts = fault instanceof ApiFault ? fault : undefined;
  // The time stays what it was when the answer came.
  const retry = useMemo(
    () => facts?.retryAfterSeconds !== undefined && retryText(facts.retryAfterSeconds, new Date()),
    [facts],
  );
  return (
    <div class="notice" data-kind="error" role="alert">
      <p>
        <strong>{sentence(fault instanceof Error ? fault.message : String(fault))}</strong>{' '}
        {retry && `Try again ${retry}.`}
      </p>
      {facts?.status === 403 && <p>Your key may read, but not change anything.</p>}
      {children}
      {facts?.requestId && (
        <p class="small quiet">
          {facts.code}, request <code>{facts.requestId}</code>
        </p>
      )}
    </div>
  );
}

/** The API's messages begin with a small letter and have no full stop. */
function sentence(message: string): string {
  const text = message.trim();
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.');
}
