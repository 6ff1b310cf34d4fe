import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, describe, it } from 'node:test';
import { FAULTS } from '../chaos/upstreams/faults.ts';
import { runUpstreams } from '../chaos/upstreams/run.ts';
import { type Scene, startScene } from '../chaos/upstreams/scene.ts';
import { type Sickness, startSickWire } from '../chaos/upstreams/sick-wire.ts';
import { runSoak } from '../soak/run.ts';
import { listenOnLoopback } from '../support/loopback.ts';
import { until } from '../support/waiting.ts';

const isLinux = process.platform === 'linux' || 'these runs look into /proc, which only Linux has';

// `npm run chaos:upstreams` and `npm run soak` run the full sizes.
describe('a gateway whose upstreams fall sick', { skip: isLinux === true ? false : isLinux }, () => {
  let scene: Scene;

  before(async () => {
    // What is waited for at the end of the run.
    scene = await startScene({ gatewaySettings: { AUTH_CACHE_TTL_SECONDS: '1', HEADER_TIMEOUT_SECONDS: '2' } });
  });
  after(() => scene?.close());

  it('answers as it should, and is well again as soon as they are', async (t) => {
    const faults = FAULTS.filter(({ name }) => name === 'both killed');
    const { failures, lines } = await runUpstreams(scene, { seed: 1, rounds: 1, faults, isShort: true, isBusy: true });
    for (const line of lines) t.diagnostic(line);
    assert.deepEqual(failures, []);
  });

  it('lets go of everything when a soak is over', async (t) => {
    const onLine = (line: string) => t.diagnostic(line);
    assert.deepEqual(
      await runSoak(scene, { seed: 1, seconds: 4, scale: 1, hasPages: false, isBusy: true, onLine }),
      [],
    );
  });
});

describe('a sick wire', { concurrency: true }, () => {
  /** Sends `before`, sickens the wire, sends `amid` and a new connection's `anew`, heals it, and sends `after`. */
  async function live(how: Sickness) {
    const echo = net.createServer((socket) => socket.on('error', () => {}).pipe(socket));
    const wire = await startSickWire(await listenOnLoopback(echo));
    const heard: string[] = [];
    const sockets: net.Socket[] = [];
    const open = async () => {
      const socket = net.connect(wire.port, '127.0.0.1').on('error', () => {});
      sockets.push(socket);
      socket.on('data', (data) => heard.push(String(data)));
      await once(socket, 'connect');
      return socket;
    };
    try {
      const first = await open();
      first.write('before');
      await until('the echo', () => heard.join('') === 'before');
      await wire.sicken(how);
      const refused = await open().then(
        (second) => !second.write('anew'),
        () => true,
      );
      const sentMs = performance.now();
      first.write('amid'.repeat(100));
      if (how.kind === 'slow' || how.kind === 'trickle') {
        await until('all of it', () => heard.join('').length === 'before'.length + 'amid'.length * 100 + 'anew'.length);
      }
      const tookMs = performance.now() - sentMs;
      const amid = heard.join('');
      await wire.heal();
      (await open()).write('after');
      await until('the echo of a new connection', () => heard.join('').includes('after'));
      await until('what was held', () => how.kind !== 'silent' || /amid.*anew|anew.*amid/.test(heard.join('')));
      return { refused, amid, whole: heard.join(''), tookMs };
    } finally {
      for (const socket of sockets) socket.destroy();
      await wire.close();
      echo.close();
    }
  }

  it('is slow', async () => assert.ok((await live({ kind: 'slow', delayMs: 200 })).tookMs >= 200));
  it('trickles', async () => assert.ok((await live({ kind: 'trickle', bytesPerSecond: 1_000 })).tookMs >= 200));
  it('is silent, and loses nothing', async () => {
    const { amid, whole } = await live({ kind: 'silent' });
    assert.equal(amid, 'before');
    assert.match(whole, /amid/);
  });
  it('is half open: what was open is dead for good, and what is new hears nothing until it is healed', async () => {
    const { amid, whole } = await live({ kind: 'half-open' });
    assert.equal(amid, 'before');
    assert.doesNotMatch(whole, /amid/);
  });
  it('refuses', async () => {
    const { refused, amid, whole } = await live({ kind: 'refuse' });
    assert.deepEqual({ refused, amid, whole }, { refused: true, amid: 'before', whole: 'beforeafter' });
  });
});
