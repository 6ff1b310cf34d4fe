const MAX_CHARS = 1_024;

/**
 * The RFC 6901 pointer to a place in a JSON text, by the names and indices that lead there. Names may be as long as a body:
 * where the pointer would be longer than 1,024 characters it ends at the last place that it has room for.
 */
export function jsonPointer(place: readonly (string | number)[]): string {
  let pointer = '';
  for (const part of place) {
    const name = String(part);
    // Escaped it is longer still.
    if (pointer.length + name.length >= MAX_CHARS) break;
    const next = `/${escapePart(name)}`;
    if (pointer.length + next.length > MAX_CHARS) break;
    pointer += next;
  }
  return pointer;
}

function escapePart(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}
