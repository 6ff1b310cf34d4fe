import type { Acceptance } from '../access/acceptance.ts';
import { type Answer, type RequestContext, startDeadline } from '../context.ts';
import type { Orchestrator } from '../upstream/orchestrator.ts';
import { readIdempotency } from '../wire/idempotency-key.ts';
import type { JsonTranscoder } from '../wire/json-transcoder/json-transcoder.ts';
import { type ListQuery, labelSelector, nextPageLink } from '../wire/list-query.ts';
import { rateLimitHeaders } from '../wire/quota.ts';
import { type RankRequestJson, rankingToJson, rankRequestFromJson } from '../wire/ranking-json.ts';
import { isTerminal, stateFromJson, workflowToJson } from '../wire/workflow-json.ts';
import { type WorkflowSpecJson, workflowSpecFromJson } from '../wire/workflow-spec.ts';
import { answerJson, answerRead, answerText, JSON_TYPE } from './answer.ts';
import type { LongPolls } from './long-poll.ts';

interface WorkflowParts {
  readonly orchestrator: Orchestrator;
  readonly acceptance: Acceptance;
  readonly transcoder: JsonTranscoder;
  readonly longPolls: LongPolls;
  /** Bound of the read after a long poll has waited. */
  readonly timeoutMs: number;
}

/** Handlers of the tag `workflows`. */
export function createWorkflowRoutes({ orchestrator, acceptance, transcoder, longPolls, timeoutMs }: WorkflowParts) {
  async function readWhenOver(c: RequestContext, waitMs: number): Promise<Buffer> {
    const { call, input } = c.env.facts;
    const request = { workflowId: input.params.id! };
    const untilOver = longPolls.begin(c);
    let workflow = await orchestrator.getWorkflow(request, call);
    if (!isTerminal(workflow.state)) {
      await untilOver(workflow, waitMs);
      workflow = await orchestrator.getWorkflow(request, { ...call, timeLeftMs: startDeadline(timeoutMs) });
    }
    return Buffer.from(JSON.stringify(workflowToJson(workflow)));
  }

  return {
    async submitWorkflow(c: RequestContext): Promise<Answer> {
      const { input, bodyText, caller, call } = c.env.facts;
      const spec = workflowSpecFromJson(input.body as WorkflowSpecJson);
      const idempotency = readIdempotency(input.headers['idempotency-key'], bodyText);
      const { id, body, replayed, quota } = await acceptance.accept(spec, idempotency, caller, call);
      return answerText(body, 201, {
        ...JSON_TYPE,
        Location: `/v1/workflows/${encodeURIComponent(id)}`,
        ...(replayed && { 'Idempotent-Replayed': 'true' }),
        ...rateLimitHeaders(quota),
      });
    },

    async listWorkflows(c: RequestContext): Promise<Answer> {
      const query = c.env.facts.input.query as unknown as ListQuery;
      const page = await orchestrator.bytes.listWorkflows(
        {
          pageSize: query.page_size,
          pageToken: query.page_token ?? '',
          ...(query.state && { stateFilter: stateFromJson(query.state) }),
          labelSelector: labelSelector(query.label),
        },
        c.env.facts.call,
      );
      const { body, nextPageToken } = transcoder.workflowListBytesToJson(page);
      const headers = nextPageLink(query, nextPageToken);
      return answerRead(body, c.env.facts.input.headers['if-none-match'], headers);
    },

    async getWorkflow(c: RequestContext): Promise<Answer> {
      const { call, input } = c.env.facts;
      const { wait } = input.query as { wait?: number };
      const body =
        wait === undefined
          ? transcoder.workflowBytesToJson(await orchestrator.bytes.getWorkflow({ workflowId: input.params.id! }, call))
          : await readWhenOver(c, wait * 1000);
      return answerRead(body, input.headers['if-none-match']);
    },

    async cancelWorkflow(c: RequestContext): Promise<Answer> {
      const { call, input } = c.env.facts;
      const workflow = await orchestrator.bytes.cancelWorkflow({ workflowId: input.params.id! }, call);
      return answerText(transcoder.workflowBytesToJson(workflow), 200, JSON_TYPE);
    },

    async retryWorkflow(c: RequestContext): Promise<Answer> {
      const { call, input } = c.env.facts;
      const workflow = await orchestrator.bytes.retryWorkflow({ workflowId: input.params.id! }, call);
      return answerText(transcoder.workflowBytesToJson(workflow), 200, JSON_TYPE);
    },

    async rankDesigns(c: RequestContext): Promise<Answer> {
      const { params, body } = c.env.facts.input;
      const ranking = await orchestrator.rankDesigns(
        rankRequestFromJson(params.id!, body as RankRequestJson),
        c.env.facts.call,
      );
      return answerJson(rankingToJson(ranking));
    },
  };
}
