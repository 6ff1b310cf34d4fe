import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Workflow } from '../../src/client/contract.ts';
import {
  type Answer,
  eventStream,
  html,
  inTurn,
  json,
  lost,
  refusal,
  runIn,
  type Sent,
  status,
  workflow,
} from './scene.ts';

const RUNNING = json(workflow('RUNNING'));

function event(name: string, data: unknown, id?: number): string {
  return `${id === undefined ? '' : `id: ${id}\n`}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}
const step = (id: number, fraction: number) =>
  event(
    'step_update',
    { workflow_id: 'wf-1', step_update: status(fraction === 1 ? 'SUCCEEDED' : 'RUNNING', fraction) },
    id,
  );
const snapshot = (shown: Workflow) => event('workflow_update', { workflow_id: 'wf-1', workflow_update: shown });
const end = (state: string) => event('end', { state });
const cursors = (sent: readonly Sent[]) =>
  sent.filter(({ path }) => path.endsWith('/events')).map(({ headers }) => headers.get('last-event-id'));
const watch = (answers: readonly Answer[], ...args: string[]) =>
  runIn(['watch', 'wf-1', ...args], { answer: inTurn(RUNNING, ...answers) });

describe('foldforge watch', () => {
  it('shows a snapshot, then each change and each quarter of the way', async () => {
    const shown = snapshot(workflow('RUNNING', { step_statuses: [status('RUNNING', 0.1)] }));
    const text = `retry: 2000\n\n${shown}: comment\n\n${step(4, 0.2)}${step(5, 0.26)}${step(6, 1)}${end('SUCCEEDED')}`;
    const { exitCode, stdout, stderr, sent } = await watch([eventStream(text)]);
    const lines = ['RUNNING 10%', 'RUNNING 26%', 'SUCCEEDED 100%'].map((line) => `  fold (af2)  ${line}\n`);
    assert.deepEqual([exitCode, stdout, stderr], [0, `${lines.join('')}Workflow wf-1 SUCCEEDED\n`, '']);
    assert.deepEqual(cursors(sent), [null]);
  });

  for (const [state, exitCode] of [
    ['SUCCEEDED', 0],
    ['FAILED', 1],
    ['CANCELLED', 3],
    ['UNKNOWN', 70],
  ] as const) {
    it(`ends with ${exitCode} when the workflow is ${state}`, async () => {
      assert.equal((await watch([eventStream(end(state))])).exitCode, exitCode);
    });
  }

  it('says why a step has failed', async () => {
    const error = { code: 'OOM', message: 'no\u001b[2J memory', retryable: true };
    const failed = { workflow_id: 'wf-1', step_update: status('FAILED', 0.5, { error }) };
    const { stdout } = await watch([eventStream(event('step_update', failed, 2) + end('FAILED'))]);
    assert.equal(stdout, '  fold (af2)  FAILED 50%  OOM: no [2J memory\nWorkflow wf-1 FAILED\n');
  });

  it('resumes a lost stream behind the last event, as soon as the server allows', async () => {
    const { exitCode, stdout, sent, waits } = await watch(
      [
        eventStream(`retry: 3000\n\n${step(7, 0)}${step(8, 0.25)}id: 9\nevent: step_update\ndata: {"cut`, {
          breaksOff: true,
        }),
        lost('ECONNREFUSED'),
        html(502),
        refusal(503, 'UNAVAILABLE', { retryable: true, retryAfter: '2' }),
        // A drain: it ends without a fault.
        eventStream(`${step(9, 0.5)}retry: 1500\n\n`),
        eventStream(step(10, 1) + end('SUCCEEDED')),
      ],
      '--from',
      '6',
    );
    assert.equal(exitCode, 0);
    assert.deepEqual(cursors(sent), ['6', '8', '8', '8', '8', '9']);
    const shown = [0, 25, 50].map((percent) => `  fold (af2)  RUNNING ${percent}%\n`);
    assert.equal(stdout, `${shown.join('')}  fold (af2)  SUCCEEDED 100%\nWorkflow wf-1 SUCCEEDED\n`);
    assert.ok(waits[0]! >= 1_500 && waits[0]! <= 3_000, `after the loss: ${waits[0]}`);
    assert.ok(waits[3]! >= 2_000 && waits[3]! <= 2_500, `as the answer says: ${waits[3]}`);
    assert.equal(waits[4], 1_500, 'as the drain says');
  });

  it('waits longer each time, until an event comes', async () => {
    const failing = Array.from({ length: 4 }, () => lost('ECONNREFUSED'));
    const answers = [...failing, eventStream(step(1, 0.5), { breaksOff: true }), eventStream(end('SUCCEEDED'))];
    const { waits } = await watch(answers);
    assert.ok(waits[3]! >= 4_000 && waits[3]! <= 8_000, `after four failures: ${waits[3]}`);
    assert.ok(waits[4]! <= 1_000, `after an event: ${waits[4]}`);
  });

  it('asks for the end when there is nothing after its last event', async () => {
    const { exitCode, sent } = await watch(
      [eventStream(step(3, 0.5)), () => new Response(null, { status: 204 }), json(workflow('CANCELLED'))],
      '--from',
      '0',
    );
    assert.deepEqual([exitCode, cursors(sent)], [3, ['0', '3']]);
  });

  it('reads how things stand where events are missing', async () => {
    const now = workflow('RUNNING', { step_statuses: [status('RUNNING', 0.75)] });
    const text = event('gap', { requested: '0', oldest: '90' }) + step(90, 1) + end('SUCCEEDED');
    const { stdout, stderr } = await watch([eventStream(text), json(now)], '--from', '0');
    assert.match(stdout, /RUNNING 75%\n.*SUCCEEDED 100%\n/);
    assert.equal(stderr, 'Events after 0 are no longer stored.\n');
  });

  it('goes on after an error event that passes, and ends with one that does not', async () => {
    const fault = (code: string, codeStatus: number, retryable: boolean) =>
      event('error', { status: codeStatus, code, message: 'x', retryable, request_id: 'req-1' });
    const passing = await watch([eventStream(fault('UNAVAILABLE', 503, true)), eventStream(end('SUCCEEDED'))]);
    assert.equal(passing.exitCode, 0);
    const final = await watch([eventStream(fault('KEY_REVOKED', 401, false))]);
    assert.equal(final.exitCode, 5);
    assert.match(
      final.stderr,
      /foldforge watch wf-1 shows it again\nfoldforge: 401 KEY_REVOKED: x\n {2}request id: req-1\n$/,
    );
  });

  it('does not take just any answer for a stream', async () => {
    const page = () => new Response('<html>', { headers: { 'Content-Type': 'text/html' } });
    const { exitCode, sent } = await watch([page]);
    assert.deepEqual([exitCode, sent.length], [78, 2]);
  });

  it('gives up when the server has been away for --timeout', async () => {
    let isFirst = true;
    const answer: Answer = (sent) => {
      if (!sent.path.endsWith('/events')) return RUNNING(sent);
      if (!isFirst) return lost('ECONNREFUSED')(sent);
      isFirst = false;
      return eventStream(step(1, 0.5))(sent);
    };
    const { exitCode, waits } = await runIn(['watch', 'wf-1', '--timeout', '20'], { answer });
    assert.equal(exitCode, 69);
    const waited = waits.reduce((sum, delay) => sum + delay, 0);
    assert.ok(waited > 9_000 && waited <= 20_000, String(waited));
  });

  it('draws bars on a terminal, tears them apart for nothing, and says why a step has failed', async () => {
    const error = { code: 'OOM', message: 'no memory', retryable: true };
    const failed = event('step_update', { workflow_id: 'wf-1', step_update: status('FAILED', 0.5, { error }) }, 5);
    const answer = inTurn(RUNNING, eventStream(step(4, 0.25)), html(502), eventStream(failed + end('FAILED')));
    const stdout = { isTTY: true, columns: 60, rows: 5 };
    const { exitCode, stdout: screen, stderr } = await runIn(['watch', 'wf-1'], { answer, stdout });
    assert.deepEqual([exitCode, stderr], [1, ''], 'nothing is written past the bars');
    const [bar, fault, last] = screen.trimEnd().split('\n').slice(-3);
    assert.ok(bar!.includes(`fold (af2) ${'█'.repeat(10)}${'░'.repeat(10)} 50%  \u001b[31mFAILED\u001b[0m`), bar);
    assert.deepEqual([fault, last], ['  fold (af2)  OOM: no memory', 'Workflow wf-1 \u001b[31mFAILED\u001b[0m']);
    assert.ok(screen.lastIndexOf('\u001b[?25h') > screen.lastIndexOf('\u001b[?25l'), 'the cursor is back');
  });

  it('writes lines on a terminal that has no room for bars', async () => {
    const stdout = { isTTY: true, columns: 30, rows: 5 };
    const run = await runIn(['watch', 'wf-1'], {
      answer: inTurn(RUNNING, eventStream(step(4, 1) + end('SUCCEEDED'))),
      stdout,
    });
    assert.match(run.stdout, /^ {2}fold \(af2\) {2}\S+SUCCEEDED\S+ 100%\n/);
  });

  it('with --json, each event is a line, the same over lost connections', async () => {
    const { exitCode, stdout } = await watch(
      [
        eventStream(snapshot(workflow('RUNNING')) + step(4, 0.5), { breaksOff: true }),
        eventStream(step(5, 1) + end('FAILED')),
      ],
      '--json',
    );
    assert.equal(exitCode, 1);
    const lines = stdout.trimEnd().split('\n');
    const events = lines.map((line) => JSON.parse(line) as { event: string; id?: string; data: object });
    assert.deepEqual(
      events.map(({ event: name, id }) => [name, id]),
      [
        ['workflow_update', undefined],
        ['step_update', '4'],
        ['step_update', '5'],
        ['end', undefined],
      ],
    );
    assert.deepEqual(events.at(-1)!.data, { state: 'FAILED' });
  });
});

describe('--watch', () => {
  it('of submit shows everything from the first event on', async () => {
    const answer = inTurn(json(workflow('QUEUED'), 201), eventStream(step(2, 1) + end('SUCCEEDED')));
    const { exitCode, stdout, sent } = await runIn(['submit', '-', '--watch'], { stdin: '{}', answer });
    assert.deepEqual([exitCode, cursors(sent)], [0, ['0']]);
    assert.equal(stdout, 'Workflow wf-1\n  fold (af2)  SUCCEEDED 100%\nWorkflow wf-1 SUCCEEDED\n');
  });

  it('of submit begins with the workflow where each line is JSON', async () => {
    const answer = inTurn(json(workflow('QUEUED'), 201), eventStream(end('FAILED')));
    const { exitCode, stdout } = await runIn(['submit', '-', '--watch', '--json'], { stdin: '{}', answer });
    const lines = stdout.trimEnd().split('\n');
    const [submitted, last] = lines.map((line) => JSON.parse(line) as unknown);
    assert.deepEqual([exitCode, lines.length, submitted], [1, 2, { event: 'submitted', data: workflow('QUEUED') }]);
    assert.deepEqual(last, { event: 'end', data: { state: 'FAILED' } });
  });

  it('of retry shows what is to come', async () => {
    const answer = inTurn(json(workflow('QUEUED')), eventStream(step(20, 1) + end('SUCCEEDED')));
    const { exitCode, sent } = await runIn(['retry', 'wf-1', '--watch'], { answer });
    assert.deepEqual(
      [exitCode, sent[0]!.method, sent[0]!.path, cursors(sent)],
      [0, 'POST', '/v1/workflows/wf-1/retry', [null]],
    );
  });
});
