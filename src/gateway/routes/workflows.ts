import type { Turnstile } from '../../shared/turnstile.ts';
import type { Acceptance } from '../access/acceptance.ts';
import { type Answer, type Call, type Facts, type RequestContext, startDeadline } from '../context.ts';
import { takeTurn } from '../take-turn.ts';
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
  readonly turnstile: Turnstile;
  /** Bound of the read after a long poll has waited. */
  readonly timeoutMs: number;
}

/** Handlers of the tag `workflows`. */
export function createWorkflowRoutes(parts: WorkflowParts) {
  const { orchestrator, acceptance, transcoder, longPolls, turnstile, timeoutMs } = parts;
  /** Reads under way of workflows that have just ended, by principal and id. */
  const endings = new Map<string, Promise<Buffer>>();

  async function readJson(workflowId: string, call: Call): Promise<Buffer> {
    return Buffer.from(JSON.stringify(workflowToJson(await orchestrator.getWorkflow({ workflowId }, call))));
  }

  /** One read for all of a principal who have waited for this end: there can be thousands, and what has ended stays as it is. */
  function readEnded({ call, caller, input }: Facts): Promise<Buffer> {
    const workflowId = input.params.id!;
    const key = JSON.stringify([caller.principal, workflowId]);
    const known = endings.get(key);
    if (known) return known;
    // Whoever asked first may leave.
    const { signal } = new AbortController();
    const ending = readJson(workflowId, { ...call, signal, timeLeftMs: startDeadline(timeoutMs) }).finally(() =>
      endings.delete(key),
    );
    endings.set(key, ending);
    return ending;
  }

  async function readWhenOver(c: RequestContext, waitMs: number): Promise<Buffer> {
    const { facts } = c.env;
    const { call, input } = facts;
    const workflowId = input.params.id!;
    const untilOver = longPolls.begin(c);
    const workflow = await orchestrator.getWorkflow({ workflowId }, call);
    if (isTerminal(workflow.state)) return Buffer.from(JSON.stringify(workflowToJson(workflow)));
    if (await untilOver(workflow, waitMs)) return readEnded(facts);
    return readJson(workflowId, { ...call, timeLeftMs: startDeadline(timeoutMs) });
  }

  /** To tag a large answer, and to send it, takes as long as to write it: each has a turn of its own. */
  async function answerInTurns(c: RequestContext, body: Buffer, headers?: Record<string, string>): Promise<Answer> {
    const { call, input } = c.env.facts;
    const turn = takeTurn(turnstile, body.length, call.signal);
    if (turn) await turn;
    const answer = answerRead(body, input.headers['if-none-match'], headers);
    if (turn) await takeTurn(turnstile, body.length, call.signal);
    return answer;
  }

  return {
    async submitWorkflow(c: RequestContext): Promise<Answer> {
      const { input, bodyBytes, bodyText, caller, call } = c.env.facts;
      // Each of these takes a large body some 20 ms.
      await takeTurn(turnstile, bodyBytes.length, call.signal);
      const spec = workflowSpecFromJson(input.body as WorkflowSpecJson);
      await takeTurn(turnstile, bodyBytes.length, call.signal);
      const idempotency = readIdempotency(input.headers['idempotency-key'], bodyText);
      await takeTurn(turnstile, bodyBytes.length, call.signal);
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
      const turn = takeTurn(turnstile, page.length, c.env.facts.call.signal);
      if (turn) await turn;
      const { body, nextPageToken } = transcoder.workflowListBytesToJson(page);
      return answerInTurns(c, body, nextPageLink(query, nextPageToken));
    },

    async getWorkflow(c: RequestContext): Promise<Answer> {
      const { call, input } = c.env.facts;
      const { wait } = input.query as { wait?: number };
      if (wait !== undefined) return answerInTurns(c, await readWhenOver(c, wait * 1000));
      const workflow = await orchestrator.bytes.getWorkflow({ workflowId: input.params.id! }, call);
      const turn = takeTurn(turnstile, workflow.length, call.signal);
      if (turn) await turn;
      return answerInTurns(c, transcoder.workflowBytesToJson(workflow));
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
