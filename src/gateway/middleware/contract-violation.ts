import { type Fault, GatewayError } from '../errors.ts';
import { jsonPointer } from '../wire/json-pointer.ts';

interface Violation {
  readonly status?: number;
  readonly errors?: readonly { readonly path: string; readonly message: string; readonly errorCode?: string }[];
}

const PLACES: Readonly<Record<string, string>> = { query: 'query', params: 'path', headers: 'header' };

/** What the validator threw, as INVALID_ARGUMENT with pointers into `body` and the other parts of the request. */
export function contractViolation(error: unknown, body: unknown): GatewayError {
  const { status, errors } = error as Violation;
  if (status !== 400 || !errors) return new GatewayError('INTERNAL', 'the validator failed', { cause: error });
  const faults = errors.map(({ path, message, errorCode }): Fault => {
    // It has no path for an unknown member without a name.
    if (path === '') return { pointer: '', message };
    const [, place = '', rest] = /^\/([^/]*)(?:\/(.*))?$/s.exec(path) ?? [];
    if (place !== 'body') return { pointer: `#/${PLACES[place] ?? place}/${rest ?? ''}`, message };
    const isOfMember = errorCode?.startsWith('additionalProperties') ?? false;
    const names = isOfMember ? placeOfMember(rest, body) : (rest?.split('/').map(unescapePart) ?? []);
    return { pointer: jsonPointer(names), message };
  });
  const [first] = faults;
  const where = first?.pointer ? `${first.pointer} ` : 'the body ';
  return new GatewayError('INVALID_ARGUMENT', `${where}${first?.message ?? 'breaks the contract'}`, {
    faults,
    cause: error,
  });
}

/**
 * The names that lead to an unknown member: the validator puts its name behind the pointer as it is, whatever there is in
 * it, so the first place that has a member of all that is left is where it stands.
 */
function placeOfMember(path: string | undefined, value: unknown): string[] {
  if (path === undefined || typeof value !== 'object' || value === null) return [];
  const end = path.indexOf('/');
  if (end < 0 || Object.hasOwn(value, path)) return [path];
  const step = unescapePart(path.slice(0, end));
  return [step, ...placeOfMember(path.slice(end + 1), (value as Record<string, unknown>)[step])];
}

function unescapePart(part: string): string {
  return part.replaceAll('~1', '/').replaceAll('~0', '~');
}
