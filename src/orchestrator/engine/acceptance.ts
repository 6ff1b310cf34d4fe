import { randomUUID } from 'node:crypto';
import { Code } from '@connectrpc/connect';
import type { WorkflowSpec } from '../../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { checkAdmission, countAdmission } from '../accounts/admission.ts';
import type { Billing } from '../accounts/billing.ts';
import { type KeyStanding, readKeyStanding } from '../accounts/key-standing.ts';
import { idempotencyKeyInFlight, idempotencyKeyReused, toConnectError } from '../errors.ts';
import type { Metrics, SubmissionResult } from '../metrics.ts';
import type { Runner } from '../runners/runner.ts';
import type { Connection, Database } from '../store/database.ts';
import { insertEvents } from '../store/events.ts';
import {
  findFirstUse,
  insertIdempotencyKey,
  lockIdempotencyKey,
  tryLockIdempotencyKey,
} from '../store/idempotency-keys.ts';
import { insertSteps } from '../store/steps.ts';
import { insertWorkflow, type WorkflowWithSteps } from '../store/workflows.ts';
import { encodeEvent, encodeSpec } from '../wire.ts';
import { asAccepted } from './as-accepted.ts';
import { checkSpec } from './graph.ts';
import { checkTools } from './planned-steps.ts';
import type { StepQueue } from './step-queue.ts';

/**
 * A submission that waits for a lock keeps one of few connections. Where one key or one principal is stuck, the others
 * must not wait with it.
 */
const LOCK_TIMEOUT_MS = 3_000;

/** How the refusals of a submission are counted. */
const REFUSALS: Readonly<Partial<Record<Code, SubmissionResult>>> = {
  [Code.InvalidArgument]: 'invalid',
  [Code.Aborted]: 'in_flight',
  [Code.AlreadyExists]: 'reused',
  [Code.Unauthenticated]: 'key',
  [Code.PermissionDenied]: 'key',
  [Code.ResourceExhausted]: 'quota',
  [Code.FailedPrecondition]: 'credits',
};

export interface Idempotency {
  readonly key: string;
  /** Undefined: not compared. */
  readonly bodyDigest: string | undefined;
  /** What to do while another submission is using the key. */
  readonly rival: 'wait' | 'refuse';
}

export interface Submission {
  readonly spec: WorkflowSpec;
  /** Undefined: the static token, which owns nothing. */
  readonly principal: string | undefined;
  /** Undefined: a submission of its own. */
  readonly idempotency: Idempotency | undefined;
  /** SHA-256, in lower-case hex, of the API key that is counted; undefined: none is. */
  readonly keyHash: string | undefined;
  /** W3C Trace Context of the call. */
  readonly traceparent: string | undefined;
}

export interface Accepted {
  /** As it was accepted, also when it is replayed. */
  readonly workflow: WorkflowWithSteps;
  readonly replayed: boolean;
  /** The key, after this submission; undefined when none was named, or it is not the caller's. */
  readonly key: KeyStanding | undefined;
}

export interface AcceptanceParts {
  readonly database: Database;
  readonly queue: StepQueue;
  readonly billing: Billing;
  readonly findFault: Runner['findFault'];
  readonly metrics: Pick<Metrics, 'workflowSubmitted'>;
}

export interface Acceptance {
  /**
   * Counts, debits, stores and enqueues, in one transaction: all of it happens, or nothing. Throws, in this order,
   * SpecError, IDEMPOTENCY_KEY_IN_FLIGHT, IDEMPOTENCY_KEY_REUSED, what `checkAdmission` throws, and INSUFFICIENT_CREDITS.
   */
  readonly accept: (submission: Submission) => Promise<Accepted>;
}

export function createAcceptance({ database, queue, billing, findFault, metrics }: AcceptanceParts): Acceptance {
  async function accept(submission: Submission): Promise<Accepted> {
    try {
      checkSpec(submission.spec);
      checkTools(submission.spec, findFault);
      const accepted = await database.transaction(async (connection) => {
        await connection.query(`set local lock_timeout = ${LOCK_TIMEOUT_MS}`);
        return (await replay(connection, submission)) ?? (await acceptNew(connection, submission));
      });
      metrics.workflowSubmitted(accepted.replayed ? 'replayed' : 'accepted');
      return accepted;
    } catch (error) {
      metrics.workflowSubmitted(REFUSALS[toConnectError(error).code] ?? 'failed');
      throw error;
    }
  }

  /**
   * Locks are taken in this order everywhere: idempotency key, API key, balance. Whoever has the last two makes all
   * others wait who submit with that key or as that principal, so what takes long comes before them.
   */
  async function acceptNew(connection: Connection, submission: Submission): Promise<Accepted> {
    const { spec, principal, idempotency, keyHash, traceparent } = submission;
    if (keyHash) checkAdmission(await readKeyStanding(connection, keyHash), principal);
    const bytes = encodeSpec(spec);
    const charged = billing.priceOf(principal, spec.steps.length);
    const added = { id: randomUUID(), owner: principal, spec: bytes, labels: spec.labels, charged, traceparent };
    const workflow = asAccepted(await insertWorkflow(connection, added), bytes);
    await insertSteps(connection, workflow.id, workflow.steps);
    const event = encodeEvent(workflow, workflow.lastEventId, { workflow });
    await insertEvents(connection, workflow.id, workflow.lastEventId, [event]);
    const ready = workflow.steps.filter(({ dependsOn }) => dependsOn.length === 0);
    await queue.enqueue(connection, workflow, ready);
    if (idempotency) {
      const use = idempotencyKeyOf(submission, idempotency);
      await insertIdempotencyKey(connection, use, idempotency.bodyDigest, workflow.id);
    }
    const key = keyHash ? await countAdmission(connection, keyHash, principal) : undefined;
    await billing.charge(connection, workflow);
    return { workflow, replayed: false, key };
  }

  return { accept };
}

/** The first answer to the idempotency key. Undefined: there is none, and none can come before this transaction ends. */
async function replay(connection: Connection, submission: Submission): Promise<Accepted | undefined> {
  const { principal, idempotency, keyHash } = submission;
  if (!idempotency) return undefined;
  const use = idempotencyKeyOf(submission, idempotency);
  let locked = true;
  if (idempotency.rival === 'wait') await lockIdempotencyKey(connection, use);
  else locked = await tryLockIdempotencyKey(connection, use);
  const first = await findFirstUse(connection, use);
  if (!first) {
    if (!locked) throw idempotencyKeyInFlight();
    return undefined;
  }
  const { bodyDigest = null } = idempotency;
  if (first.bodyDigest !== null && bodyDigest !== null && first.bodyDigest !== bodyDigest) throw idempotencyKeyReused();
  const key = keyHash ? await readKeyStanding(connection, keyHash) : undefined;
  const workflow = asAccepted(first.workflow, first.spec);
  return { workflow, replayed: true, key: key?.principal === principal ? key : undefined };
}

function idempotencyKeyOf({ principal }: Submission, { key }: Idempotency) {
  return { scope: principal ?? '', key };
}
