import { useEffect, useState } from 'preact/hooks';
import { ageText } from './age-text.ts';

const FRESH_MS = 10_000;

/** How long ago something was; the exact time is in the title. */
export function Age({ at }: { readonly at: string }) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), FRESH_MS);
    return () => clearInterval(timer);
  }, []);
  const time = new Date(at);
  return (
    <time dateTime={at} title={time.toLocaleString()}>
      {ageText(time.getTime(), now)}
    </time>
  );
}
