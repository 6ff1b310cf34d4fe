/** Octets that an entry counts beyond its name and value (RFC 7541, section 4.1). */
const ENTRY_OVERHEAD_BYTES = 32;

export interface DynamicTable {
  readonly length: number;
  /** Of the entry that so many others are newer than; `index` must be below `length`. */
  name(index: number): string;
  value(index: number): string;
  /** Evicts the oldest entries until there is room. An entry larger than the whole table leaves it empty. */
  add(name: string, value: string): void;
  resize(sizeBytes: number): void;
}

/** The dynamic table (RFC 7541, sections 2.3.2 and 4), which is never resized beyond `limitBytes`; empty at first. */
export function createDynamicTable(limitBytes: number, initialBytes: number): DynamicTable {
  // A ring with a place for every entry that the limit allows: the newest is at `newest`, the older ones before it.
  const places = Math.floor(limitBytes / ENTRY_OVERHEAD_BYTES);
  const names: string[] = [];
  const values: string[] = [];
  let newest = -1;
  let length = 0;
  let usedBytes = 0;
  let sizeBytes = initialBytes;

  function place(index: number): number {
    const at = newest - index;
    return at < 0 ? at + places : at;
  }

  function evictDownTo(roomBytes: number): void {
    while (usedBytes > roomBytes) {
      length -= 1;
      const oldest = place(length);
      usedBytes -= entrySize(names[oldest]!, values[oldest]!);
      names[oldest] = '';
      values[oldest] = '';
    }
  }

  return {
    get length() {
      return length;
    },
    name: (index) => names[place(index)]!,
    value: (index) => values[place(index)]!,
    add(name, value) {
      const entryBytes = entrySize(name, value);
      evictDownTo(Math.max(0, sizeBytes - entryBytes));
      if (entryBytes > sizeBytes) return;
      newest = newest === places - 1 ? 0 : newest + 1;
      names[newest] = name;
      values[newest] = value;
      length += 1;
      usedBytes += entryBytes;
    },
    resize(bytes) {
      sizeBytes = bytes;
      evictDownTo(bytes);
    },
  };
}

function entrySize(name: string, value: string): number {
  return name.length + value.length + ENTRY_OVERHEAD_BYTES;
}
