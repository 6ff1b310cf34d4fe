export type KeptStorage = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

/** A browser that keeps nothing for any site throws on the first access: then what is kept lasts as long as the page. */
export function openStorage(open: () => KeptStorage): KeptStorage {
  try {
    return open();
  } catch {
    return createMemoryStorage();
  }
}

export function createMemoryStorage(): KeptStorage {
  const items = new Map<string, string>();
  return {
    getItem: (name) => items.get(name) ?? null,
    setItem: (name, value) => void items.set(name, value),
    removeItem: (name) => void items.delete(name),
  };
}
