import { registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';
import type { Facts, RequestContext } from '../../src/gateway/context.ts';
import type * as Original from '../../src/gateway/middleware/authenticate.ts';

// Loaded before the gateway (--import), it takes authentication out for requests that bring no credential. They may say whose
// they are: what a request does as somebody, it then does here, too; only nobody asks for a proof of it. So one
// process serves both kinds: two processes differ by more than what is to be measured. All else is the gateway as it is.
// Were the middleware somewhere else, nothing would be replaced, and those requests would be refused, which ends the
// benchmark.

// Of the gateway that is about to run, which may be of another checkout.
const REPLACED = new URL('../gateway/middleware/authenticate.ts', pathToFileURL(process.argv[1]!)).href;
const original: typeof Original = await import(REPLACED);

export const createAuthenticate: typeof original.createAuthenticate = (...parts) => {
  const authenticateFor = original.createAuthenticate(...parts);
  return (operationId) => {
    const authenticate = authenticateFor(operationId);
    return (c, ...next: (() => void)[]) => {
      const { authorization, 'x-bench-principal': principal } = c.env.incoming.headers;
      if (authorization !== undefined) return (authenticate as (...parts: unknown[]) => void)(c, ...next);
      const facts = readFacts(c);
      facts.caller = {};
      if (typeof principal === 'string') {
        const { call } = facts;
        facts.caller = { principal };
        facts.call = { ...call, metadata: { ...call.metadata, 'ff-principal': principal } };
      }
      return next[0]?.();
    };
  };
};

/** Commits to compare with may have an older form of middleware, which calls the next one and has its facts in `c.var`. */
function readFacts(c: RequestContext): Pick<Facts, 'caller' | 'call'> {
  if (c.env.facts) return c.env.facts;
  const old = c as unknown as { var: Facts; set(name: string, value: unknown): void };
  return {
    get call() {
      return old.var.call;
    },
    set call(call) {
      old.set('call', call);
    },
    get caller() {
      return old.var.caller;
    },
    set caller(caller) {
      old.set('caller', caller);
    },
  };
}

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
