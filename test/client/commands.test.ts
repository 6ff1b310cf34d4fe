import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { artifact, inTurn, json, refusal, runIn, status, workflow } from './scene.ts';

const FLAKY = fileURLToPath(new URL('../../examples/workflows/flaky.json', import.meta.url));

describe('foldforge submit', () => {
  it('sends the file, and prints the id alone', async () => {
    const { exitCode, stdout, stderr, sent } = await runIn(['submit', FLAKY], {
      answer: inTurn(json(workflow('QUEUED'), 201)),
    });
    assert.deepEqual([exitCode, stdout, stderr], [0, 'wf-1\n', '']);
    assert.deepEqual([sent[0]!.method, sent[0]!.path], ['POST', '/v1/workflows']);
    assert.equal(JSON.parse(sent[0]!.body!).name, 'Fails once, then succeeds when retried');
    assert.match(sent[0]!.headers.get('idempotency-key')!, /^[0-9a-f-]{36}$/);
  });

  it('reads standard input, adds labels, and takes a key', async () => {
    const stdin = JSON.stringify({ name: 'x', steps: [], labels: { a: '1', b: '2' } });
    const answer = inTurn(json(workflow('QUEUED'), 201));
    const args = ['submit', '-', '--label', 'b=3=4', '--label', 'c=', '--idempotency-key', 'mine', '--json'];
    const { stdout, sent } = await runIn(args, { stdin, answer });
    assert.deepEqual(JSON.parse(sent[0]!.body!), { name: 'x', steps: [], labels: { a: '1', b: '3=4', c: '' } });
    assert.equal(sent[0]!.headers.get('idempotency-key'), 'mine');
    assert.deepEqual(JSON.parse(stdout), workflow('QUEUED'));
  });

  it('says what is no file and what is no JSON', async () => {
    const missing = await runIn(['submit', '/no/such.json']);
    assert.deepEqual([missing.exitCode, missing.stderr], [66, 'foldforge: /no/such.json cannot be read (ENOENT)\n']);
    const broken = await runIn(['submit', '-'], { stdin: '{"name": ' });
    assert.equal(broken.exitCode, 65);
    assert.match(broken.stderr, /^foldforge: standard input is not JSON: .+\n$/);
  });

  it('shows each part of the request that is wrong', async () => {
    const body = { status: 400, code: 'INVALID_ARGUMENT', message: 'no', retryable: false, request_id: 'req-1' };
    const errors = [{ pointer: '#/steps/0/tool', message: 'must be one of \u001b[31mthem' }];
    const { exitCode, stdout, stderr } = await runIn(['submit', FLAKY], {
      answer: inTurn(json({ ...body, errors }, 400)),
    });
    assert.deepEqual([exitCode, stdout], [4, '']);
    const lines = [
      'foldforge: 400 INVALID_ARGUMENT: no',
      '  #/steps/0/tool: must be one of  [31mthem',
      '  request id: req-1',
    ];
    assert.equal(stderr, `${lines.join('\n')}\n`);
  });
});

describe('foldforge list', () => {
  it('asks for page after page, up to the limit', async () => {
    const page = (from: number, count: number, next?: string) =>
      json({
        workflows: Array.from({ length: count }, (_, index) => workflow('RUNNING', { id: `wf-${from + index}` })),
        ...(next && { next_page_token: next }),
      });
    const args = ['list', '--limit', '130', '--state', 'running', '--label', 'a=b c', '--label', 'd=e', '--json'];
    const { stdout, sent } = await runIn(args, { answer: inTurn(page(0, 100, 't 1'), page(100, 30, 't2')) });
    assert.equal(JSON.parse(stdout).workflows.length, 130);
    const filters = 'state=RUNNING&label=a%3Db+c&label=d%3De';
    assert.deepEqual(
      sent.map(({ path }) => path),
      [`/v1/workflows?page_size=100&${filters}`, `/v1/workflows?page_size=30&${filters}&page_token=t+1`],
    );
    const all = await runIn(['list', '--limit', '0', '--json'], { answer: inTurn(page(0, 100, 'x'), page(100, 7)) });
    assert.equal(JSON.parse(all.stdout).workflows.length, 107);
  });

  it('prints a table, and beside it that there are more', async () => {
    const one = workflow('SUCCEEDED', { step_statuses: [status('SUCCEEDED', 1)], name: 'a\u0007\u202eb' });
    const two = workflow('FAILED', { id: 'wf-22', labels: { project: 'x' } });
    const answer = inTurn(json({ workflows: [one, two], next_page_token: 't' }));
    const { stdout, stderr } = await runIn(['list', '--limit', '2'], { answer });
    assert.equal(
      stdout,
      [
        'ID     STATE      STEPS  CREATED               LABELS     NAME',
        'wf-1   SUCCEEDED  1/1    2026-01-15T09:30:00Z             a b',
        'wf-22  FAILED     0/1    2026-01-15T09:30:00Z  project=x  binder',
        '',
      ].join('\n'),
    );
    assert.equal(stderr, 'only the newest 2; --limit 0 lists all\n');
  });

  it('says beside the result that there are none', async () => {
    const { exitCode, stdout, stderr } = await runIn(['list'], { answer: inTurn(json({ workflows: [] })) });
    assert.deepEqual([exitCode, stdout, stderr], [0, '', 'no workflows\n']);
  });

  it('has colours on a terminal, unless NO_COLOR is set', async () => {
    const stdout = { isTTY: true, columns: 80, rows: 24 };
    const listed = (environment: Record<string, string>) =>
      runIn(['list'], { stdout, environment, answer: inTurn(json({ workflows: [workflow('FAILED')] })) });
    assert.ok((await listed({})).stdout.includes('wf-1  \u001b[31mFAILED\u001b[0m  0/1'));
    for (const environment of [{ NO_COLOR: '1' }, { TERM: 'dumb' }] as Record<string, string>[]) {
      assert.ok(!(await listed(environment)).stdout.includes('\u001b'));
    }
  });
});

describe('foldforge get, cancel and rank', () => {
  it('shows a workflow and why a step has failed', async () => {
    const failed = workflow('FAILED', {
      step_statuses: [
        status('FAILED', 0.25, {
          outputs: [artifact()],
          error: { code: 'OOM', message: 'no memory', retryable: true },
        }),
      ],
    });
    const { stdout } = await runIn(['get', 'a/b'], {
      answer: inTurn(({ path }) => {
        assert.equal(path, '/v1/workflows/a%2Fb');
        return Response.json(failed);
      }),
    });
    assert.equal(
      stdout,
      [
        'id       wf-1',
        'name     binder',
        'state    FAILED',
        'created  2026-01-15T09:30:00Z',
        '',
        'STEP  TOOL  STATE   DONE  FILES  ERROR',
        'fold  af2   FAILED  25%   1      OOM: no memory',
        '',
      ].join('\n'),
    );
  });

  it('cancels', async () => {
    const { exitCode, stdout, sent } = await runIn(['cancel', 'wf-1'], { answer: inTurn(json(workflow('CANCELLED'))) });
    assert.deepEqual([exitCode, stdout, sent[0]!.method], [0, 'wf-1  CANCELLED\n', 'DELETE']);
  });

  it('ranks by what was asked for', async () => {
    const sha256 = '0123456789abcdef'.repeat(4);
    const metrics = { plddt: 91.4, pae: 4.2 };
    const designs = [{ rank: 1, score: 91.4, id: sha256, kind: 'artifact', source_step: 'fold', metrics }];
    const answer = inTurn(json({ designs, total_considered: 6, total_ranked: 2 }));
    const args = [
      'rank',
      'wf-1',
      '--metric',
      'plddt',
      '--minimize',
      '--filter',
      'pae<=10',
      '--filter',
      ' plddt >= -1.5e1',
      '--top',
      '1',
    ];
    const { stdout, stderr, sent } = await runIn(args, { answer });
    assert.deepEqual(JSON.parse(sent[0]!.body!), {
      metric: 'plddt',
      maximize: false,
      filters: [
        { metric: 'pae', max: 10 },
        { metric: 'plddt', min: -15 },
      ],
      top_k: 1,
    });
    const table = [
      'RANK  PLDDT  DESIGN        KIND      STEP  METRICS',
      '1     91.4   0123456789ab  artifact  fold  pae=4.2',
    ];
    assert.equal(stdout, `${table.join('\n')}\n`);
    assert.equal(stderr, '1 of 6 designs; 2 could be ranked\n');
  });

  it('leaves the direction to the server unless it is said', async () => {
    const { sent } = await runIn(['rank', 'wf-1', '--metric', 'pae', '--json'], {
      answer: inTurn(json({ designs: [], total_considered: 0, total_ranked: 0 })),
    });
    assert.deepEqual(JSON.parse(sent[0]!.body!), { metric: 'pae' });
  });

  it('knows only filters that the API has', async () => {
    for (const filter of ['plddt>80', 'plddt=80', 'plddt>=', '>=80', 'plddt>=80x', 'a b>=1']) {
      const { exitCode, stderr } = await runIn(['rank', 'wf-1', '--metric', 'm', '--filter', filter]);
      assert.equal(exitCode, 64, filter);
      assert.ok(stderr.startsWith(`foldforge: "${filter}" is not a filter such as plddt>=80 or pae<=10`));
    }
  });
});

describe('the exit code', () => {
  for (const [code, exitCode] of [
    [400, 4],
    [401, 5],
    [402, 4],
    [403, 5],
    [404, 4],
    [422, 4],
    [500, 69],
    [501, 69],
    [307, 78],
  ] as const) {
    it(`of an answer ${code} is ${exitCode}, with nothing on standard output`, async () => {
      const run = await runIn(['get', 'wf-1', '--json'], { answer: inTurn(refusal(code, 'CODE')) });
      assert.deepEqual([run.exitCode, run.stdout], [exitCode, '']);
      assert.equal(run.stderr, `foldforge: ${code} CODE: the sentence of CODE\n  request id: req-1\n`);
    });
  }

  it('of something that is no gateway', async () => {
    const page = () => new Response('<html>', { headers: { 'Content-Type': 'text/html' } });
    const { exitCode, stderr } = await runIn(['get', 'wf-1'], { answer: inTurn(page) });
    assert.equal(exitCode, 78);
    assert.match(stderr, /did not answer with JSON; is it a FoldForge gateway\?/);
  });

  it('of an interruption is that of the signal', async () => {
    for (const [name, expected] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
    ] as const) {
      const stop = new AbortController();
      const answer = () => {
        stop.abort(name);
        throw new Error('aborted');
      };
      const { exitCode, stdout } = await runIn(['get', 'wf-1'], { answer, signal: stop.signal });
      assert.deepEqual([exitCode, stdout], [expected, '']);
    }
  });
});
