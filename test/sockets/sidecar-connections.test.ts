import assert from 'node:assert/strict';
import { constants } from 'node:http2';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { startBlackhole } from '../support/blackhole.ts';
import { startRawHttp2Server } from '../support/raw-http2-server.ts';
import { silence, startSidecar } from '../support/sidecar.ts';
import { sidecarJob } from '../support/sidecar-jobs.ts';
import { type SidecarScene, startSidecarScene } from '../support/sidecar-scene.ts';
import { until, within } from '../support/waiting.ts';

let scene: SidecarScene;
beforeEach(async () => {
  scene = await startSidecarScene();
});
afterEach(() => scene.close());

const job = sidecarJob('rfdiffusion');
const reason = new Error('the owner does not want it any more');
const isReason = (error: unknown) => error === reason;

/** Lets the sidecar work until it is told to stop. */
function workForEver({ sidecar }: SidecarScene, isTalking: boolean): void {
  sidecar.script('rfdiffusion', async function* (call) {
    if (isTalking) yield { progress: 0.1 };
    yield* silence(call);
  });
}

describe('a run that is aborted', () => {
  for (const isTalking of [false, true]) {
    it(`${isTalking ? 'in the middle' : 'before the sidecar answers'} throws the reason, and is cancelled there`, async () => {
      workForEver(scene, isTalking);
      const controller = new AbortController();
      let heard = 0;
      const run = scene.run(job, () => heard++, controller.signal);
      await until('the sidecar works', () => scene.sidecar.calls.length === 1 && (heard > 0 || !isTalking));
      controller.abort(reason);
      await within('the run throws', assert.rejects(run, isReason));
      const [call] = scene.sidecar.calls;
      await until('the sidecar is told', () => call!.resetCode === constants.NGHTTP2_CANCEL);
      assert.ok(call!.signal.aborted);
    });
  }

  it('while connecting throws the reason, whatever it is', async (test) => {
    const blackhole = await startBlackhole();
    test.after(() => blackhole.close());
    const other = await startSidecarScene({ url: blackhole.url });
    test.after(() => other.close());
    for (const why of [reason, 'a text', new DOMException('too late', 'TimeoutError')]) {
      const controller = new AbortController();
      const run = other.run(job, undefined, controller.signal);
      setImmediate(() => controller.abort(why));
      await within(
        'the run throws',
        assert.rejects(run, (error) => error === why),
        2_000,
      );
    }
  });

  it('before it begins makes no call', async () => {
    await assert.rejects(scene.run(job, undefined, AbortSignal.abort(reason)), isReason);
    assert.equal(scene.sidecar.calls.length, 0);
  });

  it('by closing the runner throws, and is cancelled at the sidecar', async () => {
    workForEver(scene, true);
    const run = scene.run(job);
    await until('the sidecar works', () => scene.sidecar.calls.length === 1);
    const rejected = assert.rejects(run, /the sidecar runner was closed/);
    await within('the runner closes', scene.runner.close());
    await rejected;
    await until('the sidecar is told', () => scene.sidecar.calls[0]!.signal.aborted);
    await assert.rejects(scene.run(job), /the sidecar runner was closed/);
  });

  it('leaves the other runs on the connection alone', async () => {
    workForEver(scene, true);
    const controller = new AbortController();
    const aborted = assert.rejects(scene.run(job, undefined, controller.signal), isReason);
    await until('the sidecar works', () => scene.sidecar.calls.length === 1);
    scene.sidecar.script('rfdiffusion', undefined);
    const others = [scene.outputOf(job), scene.outputOf(job)];
    controller.abort(reason);
    await aborted;
    await Promise.all(others);
  });
});

describe('a sidecar that is away', () => {
  it('fails a run at once, and serves the next one when it is back on its port', async (test) => {
    await scene.outputOf(job);
    const { port } = scene.sidecar;
    workForEver(scene, true);
    let heard = 0;
    const cut = scene.run(job, () => heard++);
    await until('the sidecar works', () => heard > 0);
    await scene.sidecar.close();
    const lost = { code: 'UNAVAILABLE', retryable: true };
    const faults = [await cut, await scene.run(job)];
    for (const outcome of faults) {
      assert.ok('fault' in outcome);
      const { code, retryable, message } = outcome.fault;
      assert.deepEqual({ code, retryable }, lost);
      assert.doesNotMatch(message, /\d/);
    }
    const again = await startSidecar({ port });
    test.after(() => again.close());
    await scene.outputOf(job);
    assert.equal(again.calls.length, 1);
  });

  it('may leave in good order: what runs ends, and the next run has a connection of its own', async () => {
    scene.sidecar.script('rfdiffusion', async function* (call) {
      yield { progress: 0.1 };
      call.leave();
      yield* scene.sidecar.runWell(call);
    });
    for (let count = 0; count < 3; count++) await scene.outputOf(job);
  });

  it('fails a run after a while when nothing answers at its address', async (test) => {
    const blackhole = await startBlackhole();
    test.after(() => blackhole.close());
    const other = await startSidecarScene({ url: blackhole.url, timing: { connectMs: 200 } });
    test.after(() => other.close());
    const { code, retryable } = await other.faultOf(job);
    assert.deepEqual({ code, retryable }, { code: 'UNAVAILABLE', retryable: true });
  });

  it('fails a run when it does not answer a ping either', async (test) => {
    const frozen = await startRawHttp2Server(() => {}, { acknowledges: false, host: '127.0.0.1' });
    test.after(() => frozen.close());
    const url = `http://127.0.0.1:${frozen.port}`;
    const other = await startSidecarScene({ url, timing: { pingAfterMs: 50, pingAnswerMs: 100 } });
    test.after(() => other.close());
    const { code, retryable } = await other.faultOf(job);
    assert.deepEqual({ code, retryable }, { code: 'UNAVAILABLE', retryable: true });
  });

  it('is not taken for away when it says nothing but answers pings', async (test) => {
    const other = await startSidecarScene({ timing: { pingAfterMs: 20, pingAnswerMs: 800 } });
    test.after(() => other.close());
    let finish = () => {};
    const finished = new Promise<void>((resolve) => {
      finish = resolve;
    });
    other.sidecar.script('rfdiffusion', async function* (call) {
      await finished;
      yield* other.sidecar.runWell(call);
    });
    const run = other.outputOf(job);
    setTimeout(finish, 1_200);
    await run;
  });
});
