import type { ObjectInfo } from './object-file.ts';

export interface PageRequest {
  readonly prefix: string;
  /** Keys that share what comes before its next occurrence are told as one common prefix. Empty for none. */
  readonly delimiter: string;
  readonly maxKeys: number;
  /** Keys up to and including this one are left out. */
  readonly startAfter: string;
  /** The `last` of the page before. */
  readonly previous: string | undefined;
}

export interface Page {
  readonly objects: readonly ObjectInfo[];
  readonly commonPrefixes: readonly string[];
  /** Where the next page goes on; undefined when there is none. */
  readonly last: string | undefined;
}

/** One page of a listing, in the order of the keys' UTF-8 bytes, as ListObjectsV2 has it. */
export function pageOf(objects: readonly ObjectInfo[], request: PageRequest): Page {
  const { prefix, delimiter, maxKeys, startAfter, previous } = request;
  const names = new Map<string, ObjectInfo | undefined>();
  for (const object of objects) {
    if (!object.key.startsWith(prefix) || compareBytes(object.key, startAfter) <= 0) continue;
    const cut = delimiter === '' ? -1 : object.key.indexOf(delimiter, prefix.length);
    const name = cut < 0 ? object.key : object.key.slice(0, cut + delimiter.length);
    if (previous === undefined || compareBytes(name, previous) > 0) names.set(name, cut < 0 ? object : undefined);
  }
  const sorted = [...names.keys()].sort(compareBytes);
  const page = sorted.slice(0, maxKeys);
  return {
    objects: page.flatMap((name) => names.get(name) ?? []),
    commonPrefixes: page.filter((name) => names.get(name) === undefined),
    last: sorted.length > page.length ? page.at(-1) : undefined,
  };
}

/** JavaScript orders by UTF-16 units, which differs beyond the basic plane. */
function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
