import { LRUCache } from 'lru-cache';
import type { Turnstile } from '../../shared/turnstile.ts';
import type { Input, Middleware, RequestContext } from '../context.ts';
import { type Contract, listOperations, readAccess } from '../contract.ts';
import { GatewayError } from '../errors.ts';
import { takeTurn } from '../take-turn.ts';
import { jsonPointer } from '../wire/json-pointer.ts';
import { readJson, refuseJsonFault } from '../wire/json-text.ts';
import { contractViolation } from './contract-violation.ts';
import { createRequestChecks, type ExpressRequest } from './request-checks.ts';
import { BODY_TYPE } from './request-media-type.ts';

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
export function createValidate(contract: Contract, turnstile: Turnstile): (operationId: string) => Middleware {
  const checks = createRequestChecks(contract);
  const accesses = readAccess(contract.document());
  const middlewares = new Map<string, Middleware>();
  for (const { operation, method, parameters } of listOperations(contract.document())) {
    const checkRequest = checks.get(operation.operationId)!;
    const headerNames = parameters.filter(({ in: place }) => place === 'header').map(({ name }) => name.toLowerCase());
    const queryTypes = new Map(
      parameters.filter(({ in: place }) => place === 'query').map(({ name, schema }) => [name, schema?.type]),
    );
    const hasBody = operation.requestBody !== undefined;
    const isSigned = accesses.get(operation.operationId)!.schemes.has('stripeSignature');
    const known = new LRUCache<string, Input>({ max: KNOWN_INPUTS });

    const check = (c: RequestContext): void | Promise<void> => {
      const { incoming, facts } = c.env;
      const url = incoming.url ?? '';
      if (hasBody) return checkWithBody(c, url);
      const isUrlAlone = headerNames.every((name) => incoming.headers[name] === undefined);
      const input = isUrlAlone ? known.get(url) : undefined;
      facts.input = input ?? read(c, url);
      if (isUrlAlone && !input && url.length <= KNOWN_URL_CHARS && !queryTypes.has('ticket'))
        known.set(url, facts.input);
    };

    const checkWithBody = (c: RequestContext, url: string): void | Promise<void> => {
      const { facts } = c.env;
      const text = decodeUtf8(facts.bodyBytes);
      // Stripe's bodies are signed by then, and not ours to find fault with: it would send the same bytes again for days.
      if (!isSigned) refuseJsonFault(text);
      facts.bodyText = text;
      const finish = () => {
        facts.input = read(c, url, readJson(text));
      };
      return takeTurn(turnstile, text.length, facts.call.signal)?.then(finish) ?? finish();
    };

    const read = (c: RequestContext, url: string, sentBody?: unknown): Input => {
      const { incoming } = c.env;
      const [target, query] = splitTarget(url);
      const request = expressRequest(method, target, query, queryTypes);
      for (const name of headerNames) {
        const value = incoming.headers[name];
        if (typeof value === 'string') request.headers[name] = value;
      }
      if (hasBody) {
        // Whoever read it has checked that. Only the bare type: the validator keeps a validator for each Content-Type it sees.
        request.headers['content-type'] = BODY_TYPE;
        request.body = sentBody;
      }
      request.params = c.req.param() as Record<string, string>;
      try {
        checkRequest(request);
      } catch (error) {
        throw contractViolation(error, request.body);
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

type QueryTypes = ReadonlyMap<string, string | undefined>;

function expressRequest(method: string, path: string, query: string, types: QueryTypes): ExpressRequest {
  // The validator takes the query from here, and for a short path its way of parsing URLs is a short one: it buys 6 %.
  const originalUrl = query === '' ? '/' : `/?${query}`;
  return { method, path, originalUrl, headers: {}, query: readQuery(query, types), params: {}, body: undefined };
}

function splitTarget(target: string): [path: string, query: string] {
  const mark = target.indexOf('?');
  return mark < 0 ? [target, ''] : [target.slice(0, mark), target.slice(mark + 1)];
}

/**
 * Repeated names become an array, which is OpenAPI's form style with explode. Stricter than the validator, which takes
 * `label[]` for `label`, and 0x10 for a number. Throws INVALID_ARGUMENT.
 */
function readQuery(query: string, types: QueryTypes): Record<string, unknown> {
  const values: Record<string, string | string[]> = Object.create(null);
  if (query === '') return values;
  for (const [name, value] of new URLSearchParams(query)) {
    const before = values[name];
    if (!types.has(name)) throw badParameter(name, 'is not a parameter of this operation');
    if (value.includes('\0')) throw badParameter(name, 'has a NUL character');
    // With more digits than a double has there would be infinity, which the validator takes for a number of any size.
    if (types.get(name) === 'integer' && (before !== undefined || !/^-?\d{1,15}$/.test(value))) {
      throw badParameter(name, 'must be a whole number of 15 digits at most, once');
    }
    if (before === undefined) values[name] = value;
    else if (typeof before === 'string') values[name] = [before, value];
    else before.push(value);
  }
  return values;
}

function badParameter(name: string, message: string): GatewayError {
  const pointer = `#${jsonPointer(['query', name])}`;
  return new GatewayError('INVALID_ARGUMENT', `${pointer} ${message}`, { faults: [{ pointer, message }] });
}

const UTF8 = new TextDecoder('utf-8', { fatal: true });

function decodeUtf8(bytes: Buffer): string {
  try {
    return UTF8.decode(bytes);
  } catch (error) {
    throw badBody('the body is not UTF-8', error);
  }
}

function badBody(message: string, cause?: unknown): GatewayError {
  return new GatewayError('INVALID_ARGUMENT', message, { faults: [{ pointer: '', message }], cause });
}
