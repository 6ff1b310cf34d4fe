import { Code, ConnectError } from '@connectrpc/connect';
import { ErrorInfoSchema } from '../../src/gen/google/rpc/error_details_pb.ts';
import { NOWHERE, type Rule } from './canaries.ts';
import type { LeakWorld, RpcName } from './leak-world.ts';

export const CODES = Object.values(Code).filter((code) => typeof code === 'number');

/** 4xx: the orchestrator's words are for the client. */
const TOLD = new Set([
  Code.InvalidArgument,
  Code.OutOfRange,
  Code.FailedPrecondition,
  Code.PermissionDenied,
  Code.AlreadyExists,
  Code.Aborted,
]);
const CONFLICTS = new Set([Code.AlreadyExists, Code.Aborted]);
/** Calls that an older orchestrator does not know: the gateway does without, and goes on. */
const OPTIONAL: ReadonlySet<RpcName> = new Set(['acceptWorkflow', 'check']);

export const isDoneWithout = (rpc: RpcName, code: Code): boolean => code === Code.Unimplemented && OPTIONAL.has(rpc);

/** Where the words of an error may be seen, which `rpc` fails with. */
function ruleOf(rpc: RpcName, code: Code): Rule {
  if (rpc === 'check') return { may: ['log'] };
  if (isDoneWithout(rpc, code)) return NOWHERE;
  // Whatever is said of a key or of a top-up is not for who has sent it.
  if (rpc === 'authenticateApiKey' || rpc === 'grantCredits') return { must: ['log'] };
  if (code === Code.NotFound) return NOWHERE;
  // An event stream takes it for a passing fault, anything else for a conflict.
  if (rpc === 'streamWorkflowEvents' && CONFLICTS.has(code)) return { may: ['body', 'log'] };
  return TOLD.has(code) ? { must: ['body'] } : { must: ['log'] };
}

const words: Partial<Record<Code, (secret: string) => string>> = {
  [Code.Internal]: (secret) => `password authentication failed: postgresql://ff:${secret}@db-7.internal:5432/ff`,
  [Code.Unknown]: (secret) => `TypeError: boom\n    at ${secret} (/srv/orchestrator/src/store.ts:12:34)`,
  [Code.Unavailable]: (secret) => `dial tcp ${secret}.internal:50051: connect: connection refused`,
};

/**
 * An error that tells too much: in its message, its details and its trailers. With a `reason` of the contract it is for
 * the client.
 */
export function leakyError({ canaries }: LeakWorld, rpc: RpcName, code: Code, reason?: string): ConnectError {
  const rule: Rule = reason ? { must: ['body'] } : ruleOf(rpc, code);
  const said = canaries.plant(`the message of ${Code[code]} from ${rpc}`, rule);
  const isLogged = rule.must?.includes('log') || rule.may?.includes('log');
  const inside = canaries.plant(`a detail of ${Code[code]} from ${rpc}`, isLogged ? { may: ['log'] } : NOWHERE);
  const trailers = { 'x-internal': inside, 'x-internal-bin': Buffer.from(inside).toString('base64') };
  const detail = { reason: reason ?? inside, domain: inside, metadata: { secret: inside } };
  const message = words[code]?.(said) ?? `no ${said}`;
  return new ConnectError(message, code, trailers, [{ desc: ErrorInfoSchema, value: detail }]);
}
