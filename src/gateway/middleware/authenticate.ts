import { keyInQuery, readBearerToken, refuseKeyInQuery, unauthenticated } from '../access/bearer.ts';
import { type StreamTickets, TICKET_PREFIX } from '../access/stream-tickets.ts';
import type { Call, Caller, Middleware, RequestContext } from '../context.ts';
import { GatewayError } from '../errors.ts';

interface AuthenticateParts {
  readonly isStaticToken: (token: string) => boolean;
  /** Undefined while API keys are not enabled. */
  readonly apiKeys:
    | {
        resolve(token: string, metadata: Call['metadata']): Promise<Caller>;
        resolveHash(keyHash: string, metadata: Call['metadata']): Promise<Caller>;
      }
    | undefined;
}

/** Learns who is calling, and lets every upstream call say so (`ff-principal`). Strangers get 401, and nothing else. */
export function createAuthenticate({ isStaticToken, apiKeys }: AuthenticateParts): Middleware {
  return async function authenticate(c, next) {
    const { incoming } = c.env;
    refuseKeyInQuery(incoming.url ?? '');
    const token = readBearerToken(incoming.headers.authorization);
    if (isStaticToken(token)) setCaller(c, {});
    else if (apiKeys) setCaller(c, await apiKeys.resolve(token, c.var.call.metadata));
    else throw unauthenticated('the credential is not valid');
    return next();
  };
}

/** The same for event streams, which a browser's EventSource opens with a ticket, because it cannot send a header. */
export function createAuthenticateStream(
  authenticate: Middleware,
  tickets: StreamTickets,
  { isStaticToken, apiKeys }: AuthenticateParts,
): Middleware {
  async function redeem(c: RequestContext, ticket: string): Promise<Caller> {
    if (!ticket.startsWith(TICKET_PREFIX) || isStaticToken(ticket)) throw keyInQuery();
    const caller = tickets.redeem(ticket, c.req.param('id')!);
    if (caller.keyHash === undefined) return caller;
    const owner = await apiKeys?.resolveHash(caller.keyHash, c.var.call.metadata);
    if (owner?.principal !== caller.principal) throw unauthenticated('the stream ticket is not valid');
    return caller;
  }

  return async function authenticateStream(c, next) {
    const ticket = c.req.query('ticket');
    if (ticket === undefined) return authenticate(c, next);
    const { incoming } = c.env;
    refuseKeyInQuery(incoming.url ?? '');
    // RFC 6750, section 2: one credential in one request.
    if (incoming.headers.authorization !== undefined) {
      throw new GatewayError('INVALID_ARGUMENT', 'send the Authorization header or a ticket, not both');
    }
    setCaller(c, await redeem(c, ticket));
    return next();
  };
}

function setCaller(c: RequestContext, caller: Caller): void {
  const { call } = c.var;
  c.set('caller', caller);
  if (caller.principal === undefined) return;
  c.set('call', { ...call, metadata: { ...call.metadata, 'ff-principal': caller.principal } });
}
