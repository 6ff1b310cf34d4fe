import type { KeptStorage } from './storage.ts';

const STORED_UNDER = 'foldforge-key';

export interface SessionState {
  readonly token: string | undefined;
  /** Why the last session ended, where somebody should be told. */
  readonly notice: string | undefined;
}

export type Session = ReturnType<typeof createSession>;

/** Who is signed in. The key is in memory and in this tab's session storage, and nowhere else: it dies with the tab. */
export function createSession(storage: KeptStorage) {
  const listeners = new Set<() => void>();
  let state: SessionState = { token: storage.getItem(STORED_UNDER) ?? undefined, notice: undefined };

  function change(next: SessionState): void {
    state = next;
    for (const listener of listeners) listener();
  }

  return {
    state: () => state,
    signIn(token: string): void {
      storage.setItem(STORED_UNDER, token);
      change({ token, notice: undefined });
    },
    /** Forgets the key. */
    end(notice?: string): void {
      storage.removeItem(STORED_UNDER);
      change({ token: undefined, notice });
    },
    /** Answers with a function that ends the subscription. */
    subscribe(listener: () => void): () => void {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
