/** When something may be tried again, as the end of a sentence. */
export function retryText(retryAfterSeconds: number, now: Date): string {
  const at = new Date(now.getTime() + retryAfterSeconds * 1_000).toLocaleTimeString();
  if (retryAfterSeconds < 60) return `in ${retryAfterSeconds} s, at ${at}`;
  const minutes = Math.ceil(retryAfterSeconds / 60);
  return minutes < 120 ? `in ${minutes} min, at ${at}` : `in ${Math.ceil(minutes / 60)} h, at ${at}`;
}
