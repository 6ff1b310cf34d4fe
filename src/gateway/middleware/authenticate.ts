import type { ApiKeys } from '../access/api-keys.ts';
import { hashToken, keyInQuery, readBearerToken, refuseKeyInQuery, unauthenticated } from '../access/bearer.ts';
import type { RefusedCredentials } from '../access/refused-credentials.ts';
import { type StreamTickets, TICKET_PREFIX } from '../access/stream-tickets.ts';
import type { Caller, Middleware, RequestContext } from '../context.ts';
import { type OpenApi, readAccess } from '../contract.ts';
import { GatewayError, toGatewayError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import { rateLimitHeaders } from '../wire/quota.ts';

export interface AuthenticateParts {
  readonly isStaticToken: (tokenHash: string) => boolean;
  /** Undefined while API keys are not enabled. */
  readonly apiKeys: Pick<ApiKeys, 'resolve' | 'resolveKnown' | 'resolveHash'> | undefined;
  readonly tickets: Pick<StreamTickets, 'redeem'>;
  readonly refusedCredentials: RefusedCredentials;
  readonly metrics: Pick<Metrics, 'keyLookups'>;
}

/** Who has a static token. */
const ADMIN: Caller = {};

type Authenticate = (c: RequestContext) => Caller | Promise<Caller>;

/**
 * The middleware that learns who is calling each operation, and lets every upstream call say so (`ff-principal`). What
 * credential an operation takes, and whether it is for read-only keys, is what openapi.yaml says of it. Strangers get 401
 * and nothing else, until their network has had too many: then 429, without a look at what they send. The static token and
 * keys that are known to be good are not asked where they come from.
 */
export function createAuthenticate(
  document: OpenApi,
  { isStaticToken, apiKeys, tickets, refusedCredentials, metrics }: AuthenticateParts,
): (operationId: string) => Middleware {
  const accesses = readAccess(document);

  function authenticateToken(c: RequestContext): Caller | Promise<Caller> {
    const token = readBearerToken(c.env.incoming.headers.authorization);
    const tokenHash = hashToken(token);
    if (isStaticToken(tokenHash)) return ADMIN;
    const known = apiKeys?.resolveKnown(tokenHash, c.env.facts.call.metadata);
    return known ?? authenticateStranger(c, token, tokenHash);
  }

  async function authenticateStranger(c: RequestContext, token: string, tokenHash: string): Promise<Caller> {
    admitStranger(c);
    const release = refusedCredentials.hold(c.env.facts.client, tokenHash);
    try {
      if (!apiKeys) throw unauthenticated('the credential is not valid');
      return await apiKeys.resolve(token, tokenHash, c.env.facts.call.metadata);
    } catch (error) {
      countRefusal(c, error);
      throw error;
    } finally {
      release();
    }
  }

  /** Throws RATE_LIMITED while the client's network has had its share of refusals. */
  function admitStranger(c: RequestContext): void {
    try {
      refusedCredentials.admit(c.env.facts.client);
    } catch (error) {
      metrics.keyLookups.inc({ result: 'limited' });
      throw error;
    }
  }

  function countRefusal(c: RequestContext, error: unknown): void {
    if (toGatewayError(error).status === 401) refusedCredentials.count(c.env.facts.client);
  }

  /** A browser's EventSource cannot send a header: it opens an event stream with a ticket. */
  async function redeemTicket(c: RequestContext, ticket: string): Promise<Caller> {
    // RFC 6750, section 2: one credential in one request.
    if (c.env.incoming.headers.authorization !== undefined) {
      throw new GatewayError('INVALID_ARGUMENT', 'send the Authorization header or a ticket, not both');
    }
    if (!ticket.startsWith(TICKET_PREFIX) || isStaticToken(hashToken(ticket))) throw keyInQuery();
    const caller = redeem(c, ticket);
    if (caller.keyHash === undefined) return caller;
    const owner = await apiKeys?.resolveHash(caller.keyHash, c.env.facts.call.metadata);
    if (!owner || owner.principal !== caller.principal) throw unauthenticated('the stream ticket is not valid');
    return owner;
  }

  /** To check a ticket costs no lookup, so that a good one is good from everywhere. */
  function redeem(c: RequestContext, ticket: string): Caller {
    try {
      return tickets.redeem(ticket, c.req.param('id')!);
    } catch (error) {
      admitStranger(c);
      countRefusal(c, error);
      throw error;
    }
  }

  function authenticateEither(c: RequestContext): Caller | Promise<Caller> {
    const ticket = c.req.query('ticket');
    return ticket === undefined ? authenticateToken(c) : redeemTicket(c, ticket);
  }

  function guard(identifyCaller: Authenticate, writes: boolean): Middleware {
    function admit(c: RequestContext, caller: Caller): void {
      setCaller(c, caller);
      if (!writes || !caller.readOnly) return;
      throw new GatewayError('PERMISSION_DENIED', 'this API key is read-only: it may read and watch, nothing else');
    }

    return function authenticate(c) {
      refuseKeyInQuery(c.env.incoming.url ?? '');
      const caller = identifyCaller(c);
      if (caller instanceof Promise) return caller.then((found) => admit(c, found));
      return admit(c, caller);
    };
  }

  return (operationId) => {
    const access = accesses.get(operationId);
    if (!access) throw new Error(`openapi.yaml has no operation ${operationId}`);
    if (!access.schemes.has('bearer')) return pass;
    return guard(access.schemes.has('streamTicket') ? authenticateEither : authenticateToken, access.scope === 'write');
  };
}

function setCaller(c: RequestContext, caller: Caller): void {
  const { call, headers } = c.env.facts;
  c.env.facts.caller = caller;
  if (caller.quota) Object.assign(headers, rateLimitHeaders(caller.quota));
  if (caller.principal === undefined) return;
  c.env.facts.call = { ...call, metadata: { ...call.metadata, 'ff-principal': caller.principal } };
}

/** For an operation that needs nobody, or whose credential is in its body. */
const pass: Middleware = () => undefined;
