import type { Log } from '../../shared/log.ts';
import type { Call, Caller, Quota } from '../context.ts';
import { GatewayError, toGatewayError } from '../errors.ts';
import type { Orchestrator } from '../upstream/orchestrator.ts';
import type { Idempotency } from '../wire/idempotency-key.ts';
import type { JsonTranscoder } from '../wire/json-transcoder/json-transcoder.ts';
import { quotaFromCount, quotaFromProto, secondsUntilReset } from '../wire/quota.ts';
import { workflowToJson } from '../wire/workflow-json.ts';
import type { ApiKeys } from './api-keys.ts';
import { refused } from './bearer.ts';

/** How long an orchestrator that does not know AcceptWorkflow is not asked for it again. */
const ASK_AGAIN_MS = 5_000;

type Spec = Parameters<Orchestrator['submitWorkflow']>[0]['spec'];

export interface Accepted {
  readonly id: string;
  /** The workflow as JSON, in UTF-8. */
  readonly body: Buffer;
  /** It is the first answer to this idempotency key, once more. */
  readonly replayed: boolean;
  /** After this submission; undefined without a limit. */
  readonly quota: Quota | undefined;
}

export interface AcceptanceParts {
  readonly orchestrator: Pick<Orchestrator, 'bytes' | 'consumeQuota' | 'submitWorkflow'>;
  readonly transcoder: Pick<JsonTranscoder, 'acceptedBytesToJson'>;
  readonly apiKeys: Pick<ApiKeys, 'learnQuota' | 'forget'>;
  readonly log: Log;
}

export type Acceptance = ReturnType<typeof createAcceptance>;

/**
 * Has a workflow accepted and paid for: both or neither, in one call (AcceptWorkflow). An orchestrator that only speaks
 * the base contract gets two: quota is then counted before the submission, and replays are counted, too.
 */
export function createAcceptance({ orchestrator, transcoder, apiKeys, log }: AcceptanceParts) {
  let askAgainAt = 0;

  async function acceptAtOnce(
    spec: Spec,
    idempotency: Idempotency | undefined,
    { keyHash = '' }: Caller,
    call: Call,
  ): Promise<Accepted> {
    const { key = '', bodyDigest = '' } = idempotency ?? {};
    const request = { spec, idempotencyKey: key, bodyDigest, keyHash };
    const accepted = transcoder.acceptedBytesToJson(await orchestrator.bytes.acceptWorkflow(request, call));
    if (!accepted) throw new GatewayError('INTERNAL', 'the orchestrator accepted a workflow without showing it');
    return { ...accepted, quota: quotaFromProto(accepted.quota) };
  }

  async function countThenSubmit(
    spec: Spec,
    idempotency: Idempotency | undefined,
    { keyHash }: Caller,
    call: Call,
  ): Promise<Accepted> {
    const quota = keyHash === undefined ? undefined : await count(keyHash, call);
    const workflow = await orchestrator.submitWorkflow({ spec, idempotencyKey: idempotency?.key ?? '' }, call);
    return { id: workflow.id, body: Buffer.from(JSON.stringify(workflowToJson(workflow))), replayed: false, quota };
  }

  async function count(keyHash: string, call: Call): Promise<Quota | undefined> {
    const counted = await orchestrator.consumeQuota({ keyHash }, call);
    const quota = quotaFromCount(counted);
    if (counted.allowed) return quota;
    if (quota && quota.used >= quota.limit && !/revoked|expired/i.test(counted.denyReason)) {
      const message = `the quota of ${quota.limit} submissions is used up`;
      throw new GatewayError('QUOTA_EXCEEDED', message, { quota, retryAfterSeconds: secondsUntilReset(quota) });
    }
    // No limit was reached, so it is the key that was refused: revoked since it was remembered.
    throw refused(counted.denyReason);
  }

  async function accept(...submission: Parameters<typeof acceptAtOnce>): Promise<Accepted> {
    if (performance.now() < askAgainAt) return countThenSubmit(...submission);
    try {
      return await acceptAtOnce(...submission);
    } catch (error) {
      if (toGatewayError(error).code !== 'UNIMPLEMENTED') throw error;
      askAgainAt = performance.now() + ASK_AGAIN_MS;
      log.warn('the orchestrator does not know AcceptWorkflow: quota is counted before each submission');
      return countThenSubmit(...submission);
    }
  }

  return {
    /**
     * `idempotency` undefined: each call is a submission of its own. Throws QUOTA_EXCEEDED, PAYMENT_REQUIRED,
     * IDEMPOTENCY_KEY_REUSED, IDEMPOTENCY_KEY_IN_FLIGHT, PERMISSION_DENIED and a 401 for a key that is no longer good.
     */
    async accept(spec: Spec, idempotency: Idempotency | undefined, caller: Caller, call: Call): Promise<Accepted> {
      const { keyHash } = caller;
      try {
        const accepted = await accept(spec, idempotency, caller, call);
        if (keyHash !== undefined) apiKeys.learnQuota(keyHash, accepted.quota);
        return accepted;
      } catch (thrown) {
        const error = toGatewayError(thrown);
        if (keyHash !== undefined && error.quota) apiKeys.learnQuota(keyHash, error.quota);
        if (keyHash !== undefined && error.status === 401) apiKeys.forget(keyHash);
        throw error;
      }
    },
  };
}
