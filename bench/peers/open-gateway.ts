import { registerHooks } from 'node:module';
import * as original from '../../src/gateway/middleware/authenticate.ts';

// Loaded before the gateway (--import), it takes authentication out for requests that bring no credential. They may say whose
// they are: what a request does as somebody, it then does here, too; only nobody asks for a proof of it. So one
// process serves both kinds: two processes differ by more than what is to be measured. All else is the gateway as it is.
// Were the middleware somewhere else, nothing would be replaced, and those requests would be refused, which ends the
// benchmark.

const REPLACED = import.meta.resolve('../../src/gateway/middleware/authenticate.ts');

export const createAuthenticate: typeof original.createAuthenticate = (...parts) => {
  const authenticateFor = original.createAuthenticate(...parts);
  return (operationId) => {
    const authenticate = authenticateFor(operationId);
    return (c, next) => {
      const { authorization, 'x-bench-principal': principal } = c.env.incoming.headers;
      if (authorization !== undefined) return authenticate(c, next);
      c.set('caller', {});
      if (typeof principal === 'string') {
        const { call } = c.var;
        c.set('caller', { principal });
        c.set('call', { ...call, metadata: { ...call.metadata, 'ff-principal': principal } });
      }
      return next();
    };
  };
};

const names = Object.keys(original).join(', ');
if (names !== 'createAuthenticate') {
  throw new Error(`${REPLACED} exports ${names}; what replaces it exports createAuthenticate`);
}

registerHooks({
  resolve(specifier, context, next) {
    const resolved = next(specifier, context);
    return resolved.url === REPLACED ? { ...resolved, url: import.meta.url } : resolved;
  },
});
