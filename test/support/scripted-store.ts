import { startRawStore } from './raw-store.ts';

/** One answer of a store: these bytes, and then what happens to the connection. */
export interface Script {
  readonly send: string;
  readonly close: 'end' | 'reset' | 'never';
}

export type ScriptedStore = Awaited<ReturnType<typeof startScriptedStore>>;

/** A store that answers a key by its script, each attempt by the next one, and the last for ever. */
export async function startScriptedStore() {
  const scripts = new Map<string, readonly Script[]>();
  const counts = new Map<string, number>();
  const store = await startRawStore((socket, { target }) => {
    const key = keyOf(target);
    const script = scripts.get(key)!;
    const count = counts.get(key) ?? 0;
    counts.set(key, count + 1);
    const { send, close } = script[Math.min(count, script.length - 1)]!;
    const finish = () => {
      if (close === 'end') socket.end();
      if (close === 'reset') socket.resetAndDestroy();
    };
    if (send === '') finish();
    else socket.write(send, 'latin1', finish);
  });

  return {
    url: store.url,
    close: store.close,
    countRequests: (key: string): number => counts.get(key) ?? 0,
    put: (key: string, ...script: readonly Script[]) => void scripts.set(key, script),
  };
}

/** The key in a path-style target. */
const keyOf = (target: string): string => decodeURIComponent(target.split('?', 1)[0]!.split('/').slice(2).join('/'));
