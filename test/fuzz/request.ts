/** A header as it is sent: its text is taken as latin1, so that any byte can be written. */
export type Header = readonly [name: string, value: string];

/** A request before it is written: parts that can still be bent. */
export interface Draft {
  readonly operationId: string;
  readonly method: string;
  readonly path: string;
  /** Written as they are, so already encoded. */
  readonly query: readonly (readonly [name: string, value: string])[];
  readonly headers: readonly Header[];
  /** What the body says; undefined: there is none, or `bytes` are it. */
  readonly json?: unknown;
  readonly bytes?: Buffer | undefined;
  /** What takes the place of path and query. */
  readonly target?: string;
  /** Statuses and codes of errors that the contract promises; undefined: whatever is documented. */
  readonly promised?: readonly (number | string)[] | undefined;
}

/** What makes another request of one. */
export type Mutation = (draft: Draft) => Draft;

export interface Request {
  readonly operationId: string;
  readonly method: string;
  readonly target: string;
  readonly headers: readonly Header[];
  readonly body: Buffer;
  readonly promised: readonly (number | string)[] | undefined;
}

/** Stands in a JSON text for what no value of JavaScript is written as. */
export const literal = (text: string) => `@literal:${text}@`;
const LITERAL = /"@literal:([^"@]*)@"/g;

/** Puts a draft together. `sign` makes the Stripe-Signature of the body, where the draft has an empty one. */
export function toRequest(draft: Draft, sign: (body: Buffer) => string): Request {
  const { operationId, method, path, query, promised } = draft;
  const search = query.map(([name, value]) => `${name}=${value}`).join('&');
  const target = draft.target ?? (search === '' ? path : `${path}?${search}`);
  const json = draft.json === undefined ? '' : JSON.stringify(draft.json).replaceAll(LITERAL, '$1');
  const body = draft.bytes ?? Buffer.from(json);
  const headers = draft.headers.map(
    ([name, value]): Header => [name, name === 'Stripe-Signature' && value === '' ? sign(body) : value],
  );
  return { operationId, method, target, headers, body, promised };
}

/** The bytes of a request. Host, Content-Length and `Connection: close` are added unless they are there. */
export function bytesOf({ method, target, headers, body }: Request, { close = true } = {}): Buffer {
  const given = new Set(headers.map(([name]) => name.toLowerCase()));
  const added: Header[] = [
    ['Host', 'gateway.test'],
    ...(close ? [['Connection', 'close'] as const] : []),
    ...(body.length > 0 || ['POST', 'PUT', 'PATCH'].includes(method)
      ? [['Content-Length', String(body.length)] as const]
      : []),
  ];
  const fields = [...added.filter(([name]) => !given.has(name.toLowerCase())), ...headers];
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return Buffer.concat([Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines}\r\n`, 'latin1'), body]);
}

/** The bytes as a person reads them, and as a shell takes them: `printf '…' | nc HOST PORT`. */
export function shown(bytes: Buffer, limit = 4_000): string {
  const text = bytes.toString('latin1', 0, limit).replaceAll(/[\\'%]|[^\x20-\x7e]/g, (character) => {
    if (character === '\\') return '\\\\';
    if (character === '%') return '%%';
    if (character === '\r') return '\\r';
    if (character === '\n') return '\\n';
    return `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`;
  });
  return bytes.length > limit ? `${text}… (${bytes.length} bytes)` : text;
}
