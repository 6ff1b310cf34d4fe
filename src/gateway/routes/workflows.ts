import type { Acceptance } from '../access/acceptance.ts';
import { type RequestContext, startDeadline } from '../context.ts';
import type { Orchestrator } from '../upstream/orchestrator.ts';
import { readIdempotency } from '../wire/idempotency-key.ts';
import { type ListQuery, labelSelector, nextPageLink } from '../wire/list-query.ts';
import { rateLimitHeaders } from '../wire/quota.ts';
import { type RankRequestJson, rankingToJson, rankRequestFromJson } from '../wire/ranking-json.ts';
import { isTerminal, stateFromJson, workflowListToJson, workflowToJson } from '../wire/workflow-json.ts';
import { type WorkflowSpecJson, workflowSpecFromJson } from '../wire/workflow-spec.ts';
import { answerJson, answerRead } from './answer.ts';
import type { LongPolls } from './long-poll.ts';

interface WorkflowParts {
  readonly orchestrator: Orchestrator;
  readonly acceptance: Acceptance;
  readonly longPolls: LongPolls;
  /** Bound of the read after a long poll has waited. */
  readonly timeoutMs: number;
}

/** Handlers of the tag `workflows`. */
export function createWorkflowRoutes({ orchestrator, acceptance, longPolls, timeoutMs }: WorkflowParts) {
  return {
    async submitWorkflow(c: RequestContext): Promise<Response> {
      const { input, bodyText, caller, call } = c.var;
      const spec = workflowSpecFromJson(input.body as WorkflowSpecJson);
      const idempotency = readIdempotency(input.headers['idempotency-key'], bodyText);
      const { workflow, replayed, quota } = await acceptance.accept(spec, idempotency, caller, call);
      return answerJson(workflowToJson(workflow), 201, {
        Location: `/v1/workflows/${encodeURIComponent(workflow.id)}`,
        ...(replayed && { 'Idempotent-Replayed': 'true' }),
        ...rateLimitHeaders(quota),
      });
    },

    async listWorkflows(c: RequestContext): Promise<Response> {
      const query = c.var.input.query as unknown as ListQuery;
      const page = await orchestrator.listWorkflows(
        {
          pageSize: query.page_size,
          pageToken: query.page_token ?? '',
          ...(query.state && { stateFilter: stateFromJson(query.state) }),
          labelSelector: labelSelector(query.label),
        },
        c.var.call,
      );
      const headers = nextPageLink(query, page.nextPageToken);
      return answerRead(workflowListToJson(page), c.var.input.headers['if-none-match'], headers);
    },

    async getWorkflow(c: RequestContext): Promise<Response> {
      const { call, input } = c.var;
      const request = { workflowId: input.params.id! };
      const { wait } = input.query as { wait?: number };
      const untilOver = wait === undefined ? undefined : longPolls.begin(c);
      let workflow = await orchestrator.getWorkflow(request, call);
      if (untilOver && !isTerminal(workflow.state)) {
        await untilOver(workflow, wait! * 1000);
        workflow = await orchestrator.getWorkflow(request, { ...call, timeLeftMs: startDeadline(timeoutMs) });
      }
      return answerRead(workflowToJson(workflow), input.headers['if-none-match']);
    },

    async cancelWorkflow(c: RequestContext): Promise<Response> {
      const workflow = await orchestrator.cancelWorkflow({ workflowId: c.var.input.params.id! }, c.var.call);
      return answerJson(workflowToJson(workflow));
    },

    async retryWorkflow(c: RequestContext): Promise<Response> {
      const workflow = await orchestrator.retryWorkflow({ workflowId: c.var.input.params.id! }, c.var.call);
      return answerJson(workflowToJson(workflow));
    },

    async rankDesigns(c: RequestContext): Promise<Response> {
      const { params, body } = c.var.input;
      const ranking = await orchestrator.rankDesigns(
        rankRequestFromJson(params.id!, body as RankRequestJson),
        c.var.call,
      );
      return answerJson(rankingToJson(ranking));
    },
  };
}
