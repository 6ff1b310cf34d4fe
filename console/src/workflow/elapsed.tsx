import { useEffect, useState } from 'preact/hooks';
import { durationMs, formatDuration } from './figures.ts';

interface ElapsedProps {
  readonly from: string | undefined;
  /** Undefined: it goes on. */
  readonly to: string | undefined;
}

/** How long something has taken, or has been going on. */
export function Elapsed({ from, to }: ElapsedProps) {
  const goesOn = from !== undefined && to === undefined;
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (!goesOn) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, [goesOn]);
  const ms = durationMs(from, to ?? now);
  if (ms === undefined) return <span class="quiet">not yet</span>;
  return <span class="elapsed">{formatDuration(ms, { whole: goesOn })}</span>;
}
