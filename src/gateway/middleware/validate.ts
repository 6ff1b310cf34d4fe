import { LRUCache } from 'lru-cache';
import type { Input, Middleware, RequestContext } from '../context.ts';
import { type Contract, listOperations } from '../contract.ts';
import { type Fault, GatewayError } from '../errors.ts';
import { createRequestChecks, type ExpressRequest } from './request-checks.ts';

/**
 * What was good of a URL stays good, and clients ask for the same ones again and again: to remember them for each operation
 * buys 8 % of a read. URLs with a ticket are used once.
 */
const KNOWN_INPUTS = 1_000;
const KNOWN_URL_CHARS = 256;

/**
 * Compiles the contract, and returns the middleware for each operation: it checks parameters and body, and sets
 * `input` with defaults filled in. Throws INVALID_ARGUMENT or UNSUPPORTED_MEDIA_TYPE.
 */
export function createValidate(contract: Contract): (operationId: string) => Middleware {
  const checks = createRequestChecks(contract);
  const middlewares = new Map<string, Middleware>();
  for (const { operation, method, parameters } of listOperations(contract.document())) {
    const checkRequest = checks.get(operation.operationId)!;
    const headerNames = parameters.filter(({ in: place }) => place === 'header').map(({ name }) => name.toLowerCase());
    const queryTypes = new Map(
      parameters.filter(({ in: place }) => place === 'query').map(({ name, schema }) => [name, schema?.type]),
    );
    const hasBody = operation.requestBody !== undefined;
    const known = new LRUCache<string, Input>({ max: KNOWN_INPUTS });

    const check = (c: RequestContext): void => {
      const { incoming, facts } = c.env;
      const url = incoming.url ?? '';
      const isUrlAlone = !hasBody && headerNames.every((name) => incoming.headers[name] === undefined);
      const input = isUrlAlone ? known.get(url) : undefined;
      facts.input = input ?? read(c, url);
      if (isUrlAlone && !input && url.length <= KNOWN_URL_CHARS && !queryTypes.has('ticket'))
        known.set(url, facts.input);
    };

    const read = (c: RequestContext, url: string): Input => {
      const { incoming } = c.env;
      const [target, query] = splitTarget(url);
      const request = expressRequest(method, target, query);
      checkQuery(request.query, queryTypes);
      for (const name of headerNames) {
        const value = incoming.headers[name];
        if (typeof value === 'string') request.headers[name] = value;
      }
      if (hasBody) {
        // Only the bare type: the validator compiles and keeps a validator for each distinct Content-Type it sees.
        request.headers['content-type'] = readMediaType(incoming.headers);
        const text = decodeUtf8(c.env.facts.bodyBytes);
        request.body = parseJson(text);
        c.env.facts.bodyText = text;
      }
      request.params = c.req.param() as Record<string, string>;
      try {
        checkRequest(request);
      } catch (error) {
        throw contractViolation(error);
      }
      const { params, query: checkedQuery, headers, body } = request;
      return { params, query: checkedQuery, headers, body };
    };

    middlewares.set(operation.operationId, check);
  }

  return (operationId) => {
    const middleware = middlewares.get(operationId);
    if (!middleware) throw new Error(`openapi.yaml has no operation ${operationId}`);
    return middleware;
  };
}

function expressRequest(method: string, path: string, query: string): ExpressRequest {
  // The validator takes the query from here, and for a short path its way of parsing URLs is a short one: it buys 6 %.
  const originalUrl = query === '' ? '/' : `/?${query}`;
  return { method, path, originalUrl, headers: {}, query: parseQuery(query), params: {}, body: undefined };
}

function splitTarget(target: string): [path: string, query: string] {
  const mark = target.indexOf('?');
  return mark < 0 ? [target, ''] : [target.slice(0, mark), target.slice(mark + 1)];
}

/** Repeated names become an array, which is OpenAPI's form style with explode. */
function parseQuery(query: string): Record<string, unknown> {
  const values: Record<string, unknown> = Object.create(null);
  if (query === '') return values;
  const parameters = new URLSearchParams(query);
  for (const name of new Set(parameters.keys())) {
    const all = parameters.getAll(name);
    values[name] = all.length === 1 ? all[0] : all;
  }
  return values;
}

/** Stricter than the validator, which takes `label[]` for `label`, and 0x10 for a number. Throws INVALID_ARGUMENT. */
function checkQuery(query: Record<string, unknown>, types: ReadonlyMap<string, string | undefined>): void {
  for (const [name, value] of Object.entries(query)) {
    const isWhole = typeof value === 'string' && /^-?\d+$/.test(value);
    if (!types.has(name)) throw badParameter(name, 'is not a parameter of this operation');
    if (types.get(name) === 'integer' && !isWhole) throw badParameter(name, 'must be a whole number, once');
  }
}

function badParameter(name: string, message: string): GatewayError {
  const pointer = `#/query/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
  return new GatewayError('INVALID_ARGUMENT', `${pointer} ${message}`, { faults: [{ pointer, message }] });
}

function readMediaType(headers: {
  'content-type'?: string | undefined;
  'content-encoding'?: string | undefined;
}): string {
  const mediaType = (headers['content-type'] ?? '').split(';', 1)[0]!.trim().toLowerCase();
  const encoding = headers['content-encoding']?.trim().toLowerCase() ?? 'identity';
  if (mediaType !== 'application/json') {
    throw new GatewayError('UNSUPPORTED_MEDIA_TYPE', 'the body must have the Content-Type application/json');
  }
  if (encoding !== 'identity') {
    throw new GatewayError('UNSUPPORTED_MEDIA_TYPE', 'the body must not have a Content-Encoding');
  }
  return mediaType;
}

const UTF8 = new TextDecoder('utf-8', { fatal: true });

function decodeUtf8(bytes: Buffer): string {
  try {
    return UTF8.decode(bytes);
  } catch (error) {
    throw badBody('the body is not UTF-8', error);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text, /\\u[dD][89a-fA-F]/.test(text) ? refuseLoneSurrogate : undefined);
  } catch (error) {
    if (error instanceof GatewayError) throw error;
    throw badBody(text === '' ? 'the body is empty' : `the body is not JSON: ${(error as Error).message}`, error);
  }
}

/** A text with one has no UTF-8, and so would be changed on its way without a word (RFC 8259, section 8.2). */
function refuseLoneSurrogate(name: string, value: unknown): unknown {
  if (name.isWellFormed() && (typeof value !== 'string' || value.isWellFormed())) return value;
  throw badBody(`the body has text that is not Unicode, a lone surrogate, in ${JSON.stringify(name)}`);
}

function badBody(message: string, cause?: unknown): GatewayError {
  return new GatewayError('INVALID_ARGUMENT', message, { faults: [{ pointer: '', message }], cause });
}

interface Violation {
  readonly status?: number;
  readonly errors?: readonly { readonly path: string; readonly message: string }[];
}

const PLACES: Readonly<Record<string, string>> = { query: 'query', params: 'path', headers: 'header' };

function contractViolation(error: unknown): GatewayError {
  const { status, errors } = error as Violation;
  if (status !== 400 || !errors) return new GatewayError('INTERNAL', 'the validator failed', { cause: error });
  const faults = errors.map(({ path, message }): Fault => {
    const [, place = '', ...rest] = path.split('/');
    if (place === 'body') return { pointer: rest.map((part) => `/${part}`).join(''), message };
    return { pointer: `#/${PLACES[place] ?? place}/${rest.join('/')}`, message };
  });
  const [first] = faults;
  const where = first?.pointer ? `${first.pointer} ` : 'the body ';
  return new GatewayError('INVALID_ARGUMENT', `${where}${first?.message ?? 'breaks the contract'}`, {
    faults,
    cause: error,
  });
}
