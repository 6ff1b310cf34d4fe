import type { JsonNode, Span } from './json-text.ts';

/**
 * The part of a text that a JSON pointer (RFC 6901) means: a member with its name, or only the name where the value has
 * several parts. Of something that is not there, what it should be in. Undefined: no pointer into the body, such as
 * `#/query/page_size`.
 */
export function locatePointer(root: JsonNode, pointer: string): Span | undefined {
  if (pointer !== '' && !pointer.startsWith('/')) return undefined;
  let node = root;
  let place: Span = opening(root);
  for (const token of pointer.split('/').slice(1)) {
    const name = token.replaceAll('~1', '/').replaceAll('~0', '~');
    const member = node.members?.get(name);
    const item = node.items && /^(?:0|[1-9]\d*)$/.test(name) ? node.items[Number(name)] : undefined;
    if (member) {
      node = member.value;
      place = isNested(node) ? member.key : { start: member.key.start, end: node.end };
    } else if (item) {
      node = item;
      place = opening(item);
    } else {
      return place;
    }
  }
  return place;
}

/** Where the steps with these ids are: their ids. The engine's messages name steps, and give no pointers. */
export function locateSteps(root: JsonNode, message: string): Span[] {
  const named = new Set([...message.matchAll(/"([A-Za-z0-9_.-]{1,64})"/g)].map(([, id]) => id));
  const steps = root.members?.get('steps')?.value.items ?? [];
  return steps.flatMap(({ members }) => {
    const id = members?.get('id');
    const isNamed = id?.value.text !== undefined && named.has(id.value.text);
    return isNamed ? [{ start: id.key.start, end: id.value.end }] : [];
  });
}

const isNested = ({ members, items }: JsonNode): boolean => members !== undefined || items !== undefined;

function opening(node: JsonNode): Span {
  return isNested(node) ? { start: node.start, end: node.start + 1 } : node;
}
