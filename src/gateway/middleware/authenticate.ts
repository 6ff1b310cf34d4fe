import { readBearerToken, unauthenticated } from '../access/bearer.ts';
import type { Call, Caller, Middleware } from '../context.ts';

interface AuthenticateParts {
  readonly isStaticToken: (token: string) => boolean;
  /** Undefined while API keys are not enabled. */
  readonly apiKeys: { resolve(token: string, metadata: Call['metadata']): Promise<Caller> } | undefined;
}

/** Learns who is calling, and lets every upstream call say so (`ff-principal`). Strangers get 401, and nothing else. */
export function createAuthenticate({ isStaticToken, apiKeys }: AuthenticateParts): Middleware {
  return async function authenticate(c, next) {
    const token = readBearerToken(c.env.incoming.headers.authorization);
    if (isStaticToken(token)) {
      c.set('caller', {});
      return next();
    }
    if (!apiKeys) throw unauthenticated('the credential is not valid');
    const { call } = c.var;
    const caller = await apiKeys.resolve(token, call.metadata);
    c.set('caller', caller);
    c.set('call', { ...call, metadata: { ...call.metadata, 'ff-principal': caller.principal! } });
    return next();
  };
}
