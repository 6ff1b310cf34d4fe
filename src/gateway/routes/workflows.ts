import type { Quota } from '../access/quota.ts';
import type { RequestContext } from '../context.ts';
import type { Orchestrator } from '../upstream/orchestrator.ts';
import { readIdempotencyKey } from '../wire/idempotency-key.ts';
import { type ListQuery, labelSelector, nextPageLink } from '../wire/list-query.ts';
import { type RankRequestJson, rankingToJson, rankRequestFromJson } from '../wire/ranking-json.ts';
import { stateFromJson, workflowListToJson, workflowToJson } from '../wire/workflow-json.ts';
import { type WorkflowSpecJson, workflowSpecFromJson } from '../wire/workflow-spec.ts';
import { answerJson, WORKFLOW_CACHE } from './answer.ts';

/** Handlers of the tag `workflows`. */
export function createWorkflowRoutes({ orchestrator, quota }: { orchestrator: Orchestrator; quota: Quota }) {
  return {
    async submitWorkflow(c: RequestContext): Promise<Response> {
      const { body, headers } = c.var.input;
      const spec = workflowSpecFromJson(body as WorkflowSpecJson);
      const idempotencyKey = readIdempotencyKey(headers['idempotency-key']);
      await quota.consume(c.var.caller, c.var.call);
      const workflow = await orchestrator.submitWorkflow({ spec, idempotencyKey }, c.var.call);
      const location = `/v1/workflows/${encodeURIComponent(workflow.id)}`;
      return answerJson(workflowToJson(workflow), 201, { Location: location });
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
      return answerJson(workflowListToJson(page), 200, {
        ...WORKFLOW_CACHE,
        ...nextPageLink(query, page.nextPageToken),
      });
    },

    async getWorkflow(c: RequestContext): Promise<Response> {
      const workflow = await orchestrator.getWorkflow({ workflowId: c.var.input.params.id! }, c.var.call);
      return answerJson(workflowToJson(workflow), 200, WORKFLOW_CACHE);
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
