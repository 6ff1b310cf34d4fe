import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { COMMANDS } from '../../src/client/arguments.ts';
import { EXIT_CODES } from '../../src/client/exit-codes.ts';
import { inTurn, json, KEY, runIn, URL_OF_API, workflow } from './scene.ts';

describe('the arguments of foldforge', () => {
  const WRONG: readonly (readonly [readonly string[], string])[] = [
    [[], 'a command is missing; see foldforge --help'],
    [['lst'], 'there is no command lst; see foldforge --help'],
    [['__proto__'], 'there is no command __proto__; see foldforge --help'],
    [['get'], 'ID is missing; see foldforge get --help'],
    [['get', 'a', 'b'], 'b is one argument too many; see foldforge get --help'],
    [['get', ''], 'ID is empty; see foldforge get --help'],
    [['list', '--stat', 'RUNNING'], "unknown option '--stat'; see foldforge list --help"],
    [['list', '--limit'], "option '--limit <value>' argument missing; see foldforge list --help"],
    [['list', '--limit', 'ten'], '--limit is "ten", but must be a whole number of at least 0'],
    [['list', '--limit', '-1'], "option '--limit' argument is ambiguous; see foldforge list --help"],
    [
      ['list', '--state', 'DONE'],
      '--state is "DONE", but must be one of QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED',
    ],
    [['list', '--label', '=v'], '--label is "=v", but must be key=value'],
    [['list', '--timeout', '1h'], '--timeout is "1h", but must be a whole number of at least 0'],
    [['list', '--url', 'gateway'], '--url must be an http:// or https:// URL without user, query or fragment'],
    [['watch', 'x', '--from', '01'], '--from is "01", but must be the id of an event, a whole number'],
    [['submit', 'x', '--idempotency-key', 'a b'], '--idempotency-key must be 1 to 255 visible ASCII characters'],
    [['rank', 'x'], '--metric is missing'],
    [['rank', 'x', '--metric', 'm', '--top', '0'], '--top is "0", but must be a whole number of at least 1'],
    [['rank', 'x', '--metric', 'm', '--minimize', '--maximize'], '--minimize and --maximize exclude each other'],
    [['download', 'x', '../../etc'], '"../../etc" is not a SHA-256, nor 8 or more digits of one'],
  ];
  for (const [args, sentence] of WRONG) {
    it(`[${args.join(' ')}]: ${sentence}`, async () => {
      const { exitCode, stdout, stderr, sent } = await runIn(args);
      assert.deepEqual([exitCode, stdout, stderr, sent.length], [64, '', `foldforge: ${sentence}\n`, 0]);
    });
  }

  it('takes no key, and does not show what it was given', async () => {
    for (const name of ['--api-key', '--token', '--key']) {
      const { exitCode, stderr } = await runIn(['list', `${name}=${KEY}`]);
      assert.equal(exitCode, 64);
      assert.match(stderr, /a key comes from FOLDFORGE_API_KEY or FOLDFORGE_API_KEY_FILE/);
      assert.ok(!stderr.includes(KEY));
    }
  });

  it('may have options before the command', async () => {
    const answer = inTurn(json({ workflows: [workflow('RUNNING')] }));
    const { exitCode, stdout, sent } = await runIn(['--json', '--url', `${URL_OF_API}/`, 'list'], { answer });
    assert.equal(exitCode, 0);
    assert.equal(JSON.parse(stdout).workflows.length, 1);
    assert.equal(sent[0]!.path, '/v1/workflows?page_size=50');
  });

  it('--help tells of each command, each option and each exit code, without any setting', async () => {
    const environment = { FOLDFORGE_URL: undefined, FOLDFORGE_API_KEY: undefined };
    for (const [name, { options, about }] of Object.entries(COMMANDS)) {
      const { exitCode, stdout, stderr } = await runIn([name, '--help'], { environment });
      assert.deepEqual([exitCode, stderr], [0, '']);
      assert.deepEqual(await runIn(['help', name]).then((run) => run.stdout), stdout);
      for (const option of Object.keys(options)) assert.ok(stdout.includes(`--${option}`), option);
      for (const [code, meaning] of EXIT_CODES) assert.match(stdout, new RegExp(`^ {2}${code} +${meaning[0]}`, 'm'));
      const general = await runIn(['--help']);
      assert.ok(general.stdout.includes(about));
      for (const line of stdout.split('\n')) assert.ok(line.length <= 130, line);
    }
  });

  it('--version', async () => {
    const { exitCode, stdout } = await runIn(['--version']);
    assert.deepEqual([exitCode, stdout], [0, 'foldforge 1.2.3\n']);
  });
});

describe('the environment of foldforge', () => {
  const WRONG: readonly (readonly [Record<string, string | undefined>, RegExp])[] = [
    [{ FOLDFORGE_API_KEY: undefined }, /^foldforge: set FOLDFORGE_API_KEY, or FOLDFORGE_API_KEY_FILE/],
    [{ FOLDFORGE_API_KEY: '' }, /^foldforge: set FOLDFORGE_API_KEY, or FOLDFORGE_API_KEY_FILE/],
    [{ FOLDFORGE_API_KEY_FILE: '/x' }, /FOLDFORGE_API_KEY and FOLDFORGE_API_KEY_FILE are both set/],
    [{ FOLDFORGE_API_KEY: `${KEY}\r\nX: y` }, /FOLDFORGE_API_KEY must have one key of visible ASCII characters/],
    [
      { FOLDFORGE_API_KEY: undefined, FOLDFORGE_API_KEY_FILE: '/no/such' },
      /names a file that cannot be read \(ENOENT\)/,
    ],
    [{ FOLDFORGE_URL: `http://user:${KEY}@host` }, /FOLDFORGE_URL must be an http/],
    [{ FOLDFORGE_URL: 'ftp://host' }, /FOLDFORGE_URL must be an http/],
  ];
  for (const [environment, sentence] of WRONG) {
    it(`${Object.keys(environment)}: ${sentence}`, async () => {
      const { exitCode, stdout, stderr, sent } = await runIn(['list'], { environment });
      assert.deepEqual([exitCode, stdout, sent.length], [78, '', 0]);
      assert.match(stderr, sentence);
      assert.ok(!stderr.includes(KEY), 'the key is not shown');
    });
  }

  it('sends the key as a credential, and says who it is', async () => {
    const { sent } = await runIn(['get', 'wf-1'], { answer: inTurn(json(workflow('RUNNING'))) });
    assert.equal(sent[0]!.headers.get('authorization'), `Bearer ${KEY}`);
    assert.equal(sent[0]!.headers.get('user-agent'), 'foldforge/1.2.3');
  });

  it('takes the key from a file', async () => {
    const environment = { FOLDFORGE_API_KEY: undefined, FOLDFORGE_API_KEY_FILE: import.meta.filename };
    const { exitCode, stderr } = await runIn(['list'], { environment });
    // This file is no key, but it was read.
    assert.deepEqual([exitCode, stderr.includes('The file of FOLDFORGE_API_KEY_FILE must have one key')], [78, true]);
  });
});
