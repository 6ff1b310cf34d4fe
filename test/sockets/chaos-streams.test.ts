import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { checkHistory } from '../chaos/history.ts';
import { planChaos } from '../chaos/plan.ts';
import { runChaos } from '../chaos/run.ts';
import { sampleText } from '../chaos/sample-text.ts';
import { createSeeded } from '../chaos/seeded.ts';
import { startWatcher } from '../chaos/watcher.ts';
import { startTcpCable } from '../support/tcp-cable.ts';
import { until, within } from '../support/waiting.ts';

describe('event streams under kills', () => {
  // `npm run chaos:streams` runs the full size.
  it('every client holds every event once and in order', async () => {
    const { failures } = await runChaos({ seed: 20, events: 3_000, clients: 20, deadlineMs: 90_000 });
    assert.deepEqual(failures, []);
  });
});

describe('the cable', () => {
  /** Answers each connection with its name and many bytes, and tells how the connection ended. */
  async function startTarget(name: string) {
    const endings: string[] = [];
    const server = net.createServer((socket) => {
      socket.on('error', ({ code }: NodeJS.ErrnoException) => endings.push(code!));
      socket.on('end', () => endings.push('end')).resume();
      socket.write(name.padEnd(100_000, '.'));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return { port: (server.address() as AddressInfo).port, endings, close: () => server.close() };
  }

  /** What is read from `port` until the connection ends, and how it does. */
  async function read(port: number): Promise<[text: string, ending: string]> {
    let text = '';
    const socket = net.connect({ port, host: '127.0.0.1' }).setEncoding('utf8');
    socket.on('data', (chunk) => {
      text += chunk;
    });
    return new Promise((resolve) => {
      socket.once('end', () => resolve([text, 'end']));
      socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve([text, code!]));
    });
  }

  it('passes targets over that refuse, and cuts at the very byte', async () => {
    const [one, two, gone] = await Promise.all(['one', 'two', 'gone'].map(startTarget));
    gone!.close();
    const cable = await startTcpCable(() => [one!.port, gone!.port, two!.port]);
    for (const how of ['end', 'reset', 'end'] as const) cable.cutNext({ direction: 'down', afterBytes: 3, how });
    assert.deepEqual(await within('a FIN', read(cable.port)), ['one', 'end']);
    assert.deepEqual((await within('an RST', read(cable.port)))[1], 'ECONNRESET');
    assert.deepEqual(await within('the third turn', read(cable.port)), ['two', 'end']);
    assert.equal(cable.cuts(), 3);
    await until('the targets know', () => two!.endings.length === 2 && one!.endings.length === 1);
    assert.deepEqual([one!.endings, two!.endings], [['end'], ['ECONNRESET', 'end']]);
    one!.close();
    two!.close();
    assert.deepEqual(await within('a refusal', read(cable.port)), ['', 'ECONNRESET']);
    await cable.close();
  });
});

describe('the chaos itself', () => {
  it('is planned by the seed alone', () => {
    const size = { events: 10_000, clients: 20 };
    const plan = planChaos({ seed: 1, ...size });
    assert.deepEqual(plan, planChaos({ seed: 1, ...size }));
    assert.notDeepEqual(plan, planChaos({ seed: 2, ...size }));
    const count = (kind: string) => plan.kills.filter(({ kill }) => kill.kind === kind).length;
    assert.deepEqual(['client', 'upstream stream', 'upstream connection', 'gateway'].map(count), [260, 70, 44, 6]);
  });

  const histories: [what: string, ids: number[], faults: string[]][] = [
    ['all is well', [1, 2, 3, 4], []],
    ['nothing came', [], ['nothing came after 0']],
    ['the end is missing', [1, 2, 3], ['nothing came after 3']],
    ['one is missing', [1, 2, 4], ['after 2 came 4']],
    ['one came twice', [1, 2, 2, 3, 4], ['2 came again, after 2']],
    ['all came twice', [1, 2, 3, 4, 1], ['1 came again, after 4']],
    ['two are swapped', [1, 3, 2, 4], ['after 1 came 3', '2 came late, after 3']],
    ['one is too many', [1, 2, 3, 4, 5], ['5 was never made']],
    ['one is no number', [1, 2, Number.NaN, 3, 4], ['NaN was never made']],
  ];
  for (const [what, ids, faults] of histories) {
    it(`sees in a history that ${what}`, () => assert.deepEqual(checkHistory(ids, 4), faults));
  }

  it('sees what is wrong with the streams of a bad server', async () => {
    const step = (id: number, fasta: string) =>
      `id: ${id}\nevent: step_update\ndata: ${JSON.stringify({ step_update: { sequences: [{ fasta }] } })}\n\n`;
    const end = 'event: end\ndata: {"state":"SUCCEEDED"}\n\n';
    const cursors: unknown[] = [];
    const answers: [status: number, body: string][] = [
      [500, ''],
      // The third event is complete but for its last line break, so it has not come.
      [200, `${step(1, sampleText(1))}${step(2, sampleText(3))}${step(3, sampleText(3)).slice(0, -1)}`],
      // An id without data counts: the next connection says 7.
      [200, `event: error\ndata: {}\n\nid: 7\n\n`],
      [200, `${step(2, sampleText(2))}id: 3\nevent: step_update\ndata: {"torn\n\n${end}`],
    ];
    const server = createServer((request, response) => {
      cursors.push(request.headers['last-event-id']);
      const [status, body] = answers.shift()!;
      response.writeHead(status, { 'Content-Type': 'text/event-stream' }).end(body);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const watcher = startWatcher({ name: 'client 1', url, headers: {}, total: 4, seeded: createSeeded(1) });
    await within('the end', watcher.over);
    server.close();
    assert.deepEqual(cursors, ['0', '0', '2', '7']);
    const failures = watcher.failures();
    assert.deepEqual(failures.slice(0, 2), [
      'client 1: was answered with 500',
      `client 1: event 2 holds what is not its own: ${JSON.stringify({ step_update: { sequences: [{ fasta: sampleText(3) }] } }).slice(0, 200)}`,
    ]);
    assert.deepEqual(failures.slice(2), [
      'client 1: an event error without an id: {}',
      'client 1: event 3 is torn: {"torn',
      'client 1: 2 came again, after 2',
      'client 1: and 1 more',
    ]);
  });
});
