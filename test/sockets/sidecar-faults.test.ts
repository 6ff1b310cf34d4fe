import assert from 'node:assert/strict';
import { constants } from 'node:http2';
import { after, afterEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Code, ConnectError } from '@connectrpc/connect';
import type { StepFault } from '../../src/orchestrator/runners/runner.ts';
import { type Script, silence } from '../support/sidecar.ts';
import { NO_RESOURCES, sequencesOutput, sidecarJob, structureOutput } from '../support/sidecar-jobs.ts';
import { startSidecarScene } from '../support/sidecar-scene.ts';

const scene = await startSidecarScene();
const { sidecar, faultOf } = scene;
after(() => scene.close());
afterEach(() => sidecar.script('rfdiffusion', undefined));

type Rfdiffusion = Script<'rfdiffusion'>;
type ExpectedFault = readonly [code: string, retryable: boolean, message: RegExp];

const LOST: ExpectedFault = ['UNAVAILABLE', true, /^the rfdiffusion sidecar cannot be reached, or went away$/];
const uri = 'r2://bucket/artifacts/a.pdb';

function assertFault(fault: StepFault, [code, retryable, message]: ExpectedFault): void {
  assert.equal(fault.code, code, fault.message);
  assert.equal(fault.retryable, retryable, fault.message);
  assert.match(fault.message, message);
}

/** gRPC's prefix: not compressed, and this long. */
function prefix(length: number): Buffer {
  const bytes = Buffer.alloc(5);
  bytes.writeUInt32BE(length, 1);
  return bytes;
}

const RUNS: readonly [name: string, act: Rfdiffusion, expected: ExpectedFault][] = [
  [
    'an error of its own',
    async function* () {
      yield { progress: 0.5 };
      yield { error: { code: 'OOM', message: 'CUDA out of memory', retryable: true } };
    },
    ['OOM', true, /^CUDA out of memory$/],
  ],
  [
    'an error, and then a result',
    async function* () {
      yield { error: { code: 'INVALID_CONTIG', message: 'A1-' } };
      yield { result: { designs: [{ backbonePdb: { uri } }] } };
    },
    ['INVALID_CONTIG', false, /^A1-$/],
  ],
  [
    'an error without a word',
    async function* () {
      yield { error: {} };
    },
    ['SIDECAR_ERROR', false, /gives no reason/],
  ],
  [
    'an error with an odd code and a long message',
    async function* () {
      yield { error: { code: 'went wrong', message: `a\0b${'x'.repeat(10_000)}`, retryable: true } };
    },
    ['SIDECAR_ERROR', true, /^went wrong: a\uFFFDbx{1980,1990}…$/],
  ],
  ['nothing', async function* () {}, ['SIDECAR_PROTOCOL', true, /ended the run without a result or an error/]],
  [
    'progress and nothing else',
    async function* () {
      yield { progress: 1 };
    },
    ['SIDECAR_PROTOCOL', true, /ended the run without a result or an error/],
  ],
  [
    'a result without designs',
    async function* () {
      yield { result: {} };
    },
    ['SIDECAR_PROTOCOL', false, /made no designs/],
  ],
  [
    'a design without a file',
    async function* () {
      yield { result: { designs: [{ designIndex: 3 }] } };
    },
    ['SIDECAR_PROTOCOL', false, /does not say where the backbone of design 3 is/],
  ],
  [
    'a design in a place of its own',
    async function* () {
      yield { result: { designs: [{ backbonePdb: { uri: 'file:///tmp/out.pdb' } }] } };
    },
    ['SIDECAR_PROTOCOL', false, /is at "file:\/\/\/tmp\/out\.pdb", which is no r2:/],
  ],
  [
    'a file with a digest that is none',
    async function* () {
      yield { result: { designs: [{ backbonePdb: { uri, sha256: 'abc' } }] } };
    },
    ['SIDECAR_PROTOCOL', false, /sha256/],
  ],
  [
    'a message that is too large',
    async function* () {
      yield { progress: 0.1, message: 'x'.repeat(17 * 1024 * 1024) };
    },
    ['SIDECAR_PROTOCOL', false, /too large/],
  ],
  [
    'bytes that are no message',
    async function* (call) {
      call.writeRaw(Buffer.concat([prefix(4), Buffer.from([0xff, 0xff, 0xff, 0xff])]));
      yield* silence(call);
    },
    ['SIDECAR_PROTOCOL', true, /not gRPC/],
  ],
  [
    'a frame that ends in the middle',
    async function* (call) {
      yield { progress: 0.1 };
      call.writeRaw(Buffer.concat([prefix(100), Buffer.from('half')]));
    },
    LOST,
  ],
  [
    'a broken connection before its answer',
    async function* (call) {
      call.breakConnection();
      yield* silence(call);
    },
    LOST,
  ],
  [
    'a broken connection in the middle',
    async function* (call) {
      yield { progress: 0.1 };
      call.breakConnection();
      yield* silence(call);
    },
    LOST,
  ],
];

describe('a run is failed by a sidecar that answers with', () => {
  for (const [name, act, expected] of RUNS) {
    it(name, async () => {
      sidecar.script('rfdiffusion', act);
      assertFault(await faultOf(sidecarJob('rfdiffusion')), expected);
    });
  }

  for (const code of ['NO_ERROR', 'INTERNAL_ERROR', 'REFUSED_STREAM', 'CANCEL', 'ENHANCE_YOUR_CALM'] as const) {
    for (const when of ['before', 'after'] as const) {
      it(`RST_STREAM with ${code} ${when} its header`, async () => {
        sidecar.script('rfdiffusion', async function* (call) {
          if (when === 'after') yield { progress: 0.1 };
          call.reset(constants[`NGHTTP2_${code}`]);
          yield* silence(call);
        });
        assertFault(await faultOf(sidecarJob('rfdiffusion')), LOST);
      });
    }
  }

  const retryable = new Set(['Canceled', 'Unknown', 'DeadlineExceeded', 'ResourceExhausted', 'Aborted', 'Internal']);
  const statuses = Object.entries(Code).filter((entry): entry is [string, Code] => typeof entry[1] === 'number');
  for (const [name, code] of statuses) {
    it(`the status ${name}`, async () => {
      sidecar.script('rfdiffusion', async function* () {
        yield { progress: 0.1 };
        throw new ConnectError('for its own reason', code);
      });
      const fault = await faultOf(sidecarJob('rfdiffusion'));
      assert.equal(fault.retryable, retryable.has(name) || name === 'Unavailable', name);
      assert.equal(fault.message, `the rfdiffusion sidecar answered ${fault.code}: for its own reason`);
      const word = name.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase();
      assert.equal(fault.code, word === 'CANCELED' ? 'CANCELLED' : word);
    });
  }

  const late: ExpectedFault = ['TIMEOUT', false, /^the step took longer than its timeout of 1 s$/];
  const resources = { ...NO_RESOURCES, timeoutSeconds: 1 };

  it('nothing until the deadline of the step', async () => {
    sidecar.script('rfdiffusion', silence);
    assertFault(await faultOf(sidecarJob('rfdiffusion', { resources })), late);
  });

  it('a deadline of its own, long before that of the step', async () => {
    sidecar.script('rfdiffusion', async function* () {
      yield { progress: 0.1 };
      throw new ConnectError('the queue is slow', Code.DeadlineExceeded);
    });
    const fault = await faultOf(sidecarJob('rfdiffusion', { resources }));
    assertFault(fault, ['DEADLINE_EXCEEDED', true, /the queue is slow$/]);
  });

  it('the deadline of the step, by a clock that is a little ahead', async () => {
    sidecar.script('rfdiffusion', async function* () {
      yield { progress: 0.1 };
      await sleep(950);
      throw new ConnectError('deadline exceeded', Code.DeadlineExceeded);
    });
    assertFault(await faultOf(sidecarJob('rfdiffusion', { resources })), late);
  });
});

describe('a run is failed before the sidecar is called by', () => {
  async function refusal(job: ReturnType<typeof sidecarJob>): Promise<StepFault> {
    const before = sidecar.calls.length;
    const fault = await faultOf(job);
    assert.equal(sidecar.calls.length, before);
    assert.equal(fault.retryable, false);
    return fault;
  }

  it('parameters that are wrong', async () => {
    const fault = await refusal(sidecarJob('rfdiffusion', { params: { contigs: '70', num_designs: 2 ** 32 } }));
    assert.equal(fault.code, 'INVALID_ARGUMENT');
    assert.equal(fault.message, 'params.num_designs must be a whole number from 1 to 4294967295');
  });

  it('inputs that the earlier steps did not make', async () => {
    for (const [job, missing] of [
      [sidecarJob('proteinmpnn', { inputs: { a: sequencesOutput(['MK', 1]) } }), /backbone_pdb is missing/],
      [sidecarJob('af2', { inputs: { a: structureOutput('a') } }), /sequence is missing/],
      [sidecarJob('boltz'), /chains is missing/],
    ] as const) {
      const fault = await refusal(job);
      assert.equal(fault.code, 'INVALID_INPUT');
      assert.match(fault.message, missing);
    }
  });
});

it('an upload that fails is a fault that does not say where to', async (test) => {
  const other = await startSidecarScene({
    putArtifact: async () => {
      throw new Error('connect ECONNREFUSED 10.0.0.7:9000');
    },
  });
  test.after(() => other.close());
  const fault = await other.faultOf(sidecarJob('proteinmpnn', { inputs: { a: structureOutput('a') } }));
  assertFault(fault, ['ARTIFACT_UPLOAD_FAILED', true, /^the artifact store did not take a file that the step made$/]);
});
