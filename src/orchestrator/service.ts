import { create } from '@bufbuild/protobuf';
import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import {
  AcceptWorkflowResponseSchema,
  AuthenticateApiKeyResponseSchema,
  ConsumeQuotaResponseSchema,
  GetBalanceResponseSchema,
  GrantCreditsResponseSchema,
  ListLedgerResponseSchema,
  ListWorkflowsResponseSchema,
  type OrchestratorService,
  RankDesignsResponseSchema,
  type WorkflowSpec,
} from '../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { grantCredits } from './accounts/grants.ts';
import { authenticateKey } from './accounts/key-standing.ts';
import { balanceOf, listLedger } from './accounts/ledger.ts';
import { countSubmission } from './accounts/quotas.ts';
import type { Acceptance, Idempotency } from './engine/acceptance.ts';
import { designsOf } from './engine/designs.ts';
import type { EventFeed } from './engine/event-feed.ts';
import { rankDesigns } from './engine/ranking.ts';
import type { WorkflowTransitions } from './engine/workflow-transitions.ts';
import { invalidArgument, permissionDenied, shuttingDown, workflowNotFound } from './errors.ts';
import { listPage } from './list-page.ts';
import type { Database } from './store/database.ts';
import { findWorkflow } from './store/workflows.ts';
import { optionalTimestamp, quotaOf, timestampOf, workflowOf } from './wire.ts';

const MAX_IDEMPOTENCY_KEY_CHARACTERS = 255;
const MAX_BODY_DIGEST_CHARACTERS = 255;
const TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;
const DEFAULT_LEDGER_LIMIT = 20;
const MAX_LEDGER_LIMIT = 200;

export interface ServiceParts {
  readonly database: Database;
  readonly acceptance: Acceptance;
  readonly workflows: WorkflowTransitions;
  readonly feed: EventFeed;
  /** Aborts when the program stops: streams then end with UNAVAILABLE. */
  readonly closing: AbortSignal;
}

/** The calls of the contract: read the request, ask the engine or the accounts, answer in protobuf. */
export function createService({
  database,
  acceptance,
  workflows,
  feed,
  closing,
}: ServiceParts): ServiceImpl<typeof OrchestratorService> {
  const { pool } = database;
  return {
    async submitWorkflow({ spec, idempotencyKey }, context) {
      const { workflow } = await acceptance.accept({
        ...readSubmission(spec, context),
        idempotency: readIdempotency(idempotencyKey, '', 'wait'),
        keyHash: undefined,
      });
      return workflowOf(workflow);
    },

    async acceptWorkflow({ spec, idempotencyKey, bodyDigest, keyHash }, context) {
      const { workflow, replayed, key } = await acceptance.accept({
        ...readSubmission(spec, context),
        idempotency: readIdempotency(idempotencyKey, bodyDigest, 'refuse'),
        keyHash: keyHash || undefined,
      });
      return create(AcceptWorkflowResponseSchema, {
        workflow: workflowOf(workflow),
        replayed,
        quota: key && quotaOf(key),
      });
    },

    async getWorkflow({ workflowId }, context) {
      return workflowOf(await findVisible(workflowId, context));
    },

    async listWorkflows(request, context) {
      const { page, nextPageToken } = await listPage(pool, principalOf(context), request);
      return create(ListWorkflowsResponseSchema, { workflows: page.map(workflowOf), nextPageToken });
    },

    async *streamWorkflowEvents({ workflowId, fromEventId, replay }, context) {
      const from = fromEventId === 0n && !replay ? 'snapshot' : fromEventId;
      const signal = AbortSignal.any([context.signal, closing]);
      try {
        yield* feed.follow({ workflowId, principal: principalOf(context), from }, signal);
      } catch (error) {
        if (closing.aborted) throw shuttingDown();
        throw error;
      }
    },

    async cancelWorkflow({ workflowId }, context) {
      return workflowOf(await workflows.cancel(workflowId, principalOf(context)));
    },

    async retryWorkflow({ workflowId }, context) {
      return workflowOf(await workflows.retry(workflowId, principalOf(context)));
    },

    async authenticateApiKey({ keyHash }) {
      const key = await authenticateKey(pool, keyHash);
      if (!key) return create(AuthenticateApiKeyResponseSchema, { denyReason: 'unknown' });
      const { id: keyId, principal, readOnly, lapse } = key;
      const expiresAt = optionalTimestamp(key.expiresUs);
      const facts = { keyId, principal, readOnly, expiresAt, quota: quotaOf(key) };
      return create(AuthenticateApiKeyResponseSchema, { ...facts, allowed: lapse === null, denyReason: lapse ?? '' });
    },

    async consumeQuota({ keyHash }) {
      const { key, refusal } = await countSubmission(pool, keyHash);
      if (!key) return create(ConsumeQuotaResponseSchema, { denyReason: refusal });
      const { principal, limit, used, resetsUs } = key;
      const resetsAt = limit > 0n ? optionalTimestamp(resetsUs) : undefined;
      const facts = { principal, limit, used, resetsAt };
      return create(ConsumeQuotaResponseSchema, { ...facts, allowed: !refusal, denyReason: refusal ?? '' });
    },

    async getBalance({ principal }, context) {
      checkOwnAccount(principal, context);
      return create(GetBalanceResponseSchema, { balance: await balanceOf(pool, principal) });
    },

    async listLedger({ principal, limit }, context) {
      checkOwnAccount(principal, context);
      const clamped = limit === 0 ? DEFAULT_LEDGER_LIMIT : Math.min(Math.max(limit, 1), MAX_LEDGER_LIMIT);
      const rows = await listLedger(pool, principal, clamped);
      const entries = rows.map(({ createdUs, ...row }) => ({ ...row, createdAt: timestampOf(createdUs) }));
      return create(ListLedgerResponseSchema, { entries });
    },

    async grantCredits(request, context) {
      if (principalOf(context) !== undefined) throw permissionDenied('only the operator may grant credits');
      return create(GrantCreditsResponseSchema, await grantCredits(database, request));
    },

    async rankDesigns({ workflowId, metric, maximize, filters, topK }, context) {
      if (!metric) throw invalidArgument('a ranking needs a metric');
      const { steps } = await findVisible(workflowId, context);
      return create(RankDesignsResponseSchema, rankDesigns(designsOf(steps), { metric, maximize, filters, topK }));
    },
  };

  async function findVisible(workflowId: string, context: HandlerContext) {
    const workflow = await findWorkflow(pool, workflowId, principalOf(context));
    if (!workflow) throw workflowNotFound();
    return workflow;
  }
}

function readSubmission(spec: WorkflowSpec | undefined, context: HandlerContext) {
  if (!spec) throw invalidArgument('a workflow needs a spec');
  return { spec, principal: principalOf(context), traceparent: traceparentOf(context) };
}

/** Empty texts are absent. Throws INVALID_ARGUMENT. */
function readIdempotency(key: string, bodyDigest: string, rival: Idempotency['rival']): Idempotency | undefined {
  if (key.length > MAX_IDEMPOTENCY_KEY_CHARACTERS) {
    throw invalidArgument(`an idempotency key has at most ${MAX_IDEMPOTENCY_KEY_CHARACTERS} characters`);
  }
  if (bodyDigest.length > MAX_BODY_DIGEST_CHARACTERS) {
    throw invalidArgument(`a body digest has at most ${MAX_BODY_DIGEST_CHARACTERS} characters`);
  }
  return key ? { key, bodyDigest: bodyDigest || undefined, rival } : undefined;
}

/** The caller's owner label; undefined for the static token, which sees and may act on everything. */
function principalOf({ requestHeader }: HandlerContext): string | undefined {
  return requestHeader.get('ff-principal') || undefined;
}

/** What is no Trace Context of version 00 is left out, as W3C Trace Context has it. */
function traceparentOf({ requestHeader }: HandlerContext): string | undefined {
  return TRACEPARENT.exec(requestHeader.get('traceparent') ?? '')?.[0];
}

function checkOwnAccount(principal: string, context: HandlerContext): void {
  const caller = principalOf(context);
  if (caller !== undefined && caller !== principal) throw permissionDenied('this account belongs to somebody else');
}
