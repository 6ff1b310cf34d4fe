/** Gives each body its Idempotency-Key, so that sending it again after a lost answer submits it once. */
export function createAttempts(newKey: () => string = randomKey) {
  let last: { readonly body: string; readonly key: string } | undefined;
  return {
    /** The same key for the same body, until that was accepted. */
    keyFor(body: string): string {
      if (last?.body !== body) last = { body, key: newKey() };
      return last.key;
    },
    /** The same body is another workflow from now on. */
    accepted(): void {
      last = undefined;
    },
  };
}

/** crypto.randomUUID is for https and localhost alone. */
function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `console-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}
