import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createMockRunner } from '../../../src/orchestrator/runners/mock.ts';
import {
  type StepFault,
  type StepJob,
  type StepOutput,
  TOOLS,
  type Tool,
} from '../../../src/orchestrator/runners/runner.ts';
import { within } from '../../support/waiting.ts';
import { createBench, ignoreProgress, jobOf } from './memory-runner.ts';

const never = new AbortController().signal;

async function faultOf(job: StepJob): Promise<StepFault> {
  const outcome = await createBench().runner.run(job, ignoreProgress, never);
  assert.ok('fault' in outcome, `the step succeeded: ${JSON.stringify(job.params)}`);
  return outcome.fault;
}

/** The chain of the README's design, one step after the other. */
async function design(bench = createBench()): Promise<Record<Tool, StepOutput>> {
  const rfdiffusion = await bench.make('rfdiffusion', { contigs: '40-60' });
  const proteinmpnn = await bench.make('proteinmpnn', {}, { rfdiffusion });
  const boltz = await bench.make('boltz', {}, { proteinmpnn });
  const af2 = await bench.make('af2', {}, { rfdiffusion, proteinmpnn });
  return { rfdiffusion, proteinmpnn, boltz, af2 };
}

describe('createMockRunner', () => {
  it('makes equal results of equal work, and other results of other work', async () => {
    assert.deepEqual(await design(), await design());
    const { rfdiffusion } = await design();
    const bench = createBench();
    const run = async (job: StepJob) => {
      const outcome = await bench.runner.run(job, ignoreProgress, never);
      assert.ok('output' in outcome);
      return outcome.output;
    };
    const params = { num_sequences: 2, sampling_temp: 0.2 };
    const first = await run(jobOf('proteinmpnn', { params, inputs: { a: rfdiffusion } }));
    const elsewhere = jobOf('proteinmpnn', {
      workflowId: 'another',
      stepId: 'other',
      attempt: 3,
      params: { sampling_temp: 0.2, mock: { seconds: 0 }, num_sequences: 2 },
      inputs: { renamed: rfdiffusion },
    });
    assert.deepEqual(await run(elsewhere), first);
    const otherParams = await run(jobOf('proteinmpnn', { params: { num_sequences: 2 }, inputs: { a: rfdiffusion } }));
    assert.notEqual(otherParams.artifacts[0]!.sha256, first.artifacts[0]!.sha256);
    const otherInput = await bench.make('rfdiffusion', { contigs: '41-60' });
    const fromOther = await run(jobOf('proteinmpnn', { params, inputs: { a: otherInput } }));
    assert.notEqual(fromOther.artifacts[0]!.sha256, first.artifacts[0]!.sha256);
  });

  it('does not mind the order of the inputs', async () => {
    const bench = createBench();
    const one = await bench.make('proteinmpnn', { num_sequences: 3 });
    const two = await bench.make('proteinmpnn', { num_sequences: 5 });
    assert.deepEqual(await bench.make('af2', {}, { one, two }), await bench.make('af2', {}, { a: two, b: one }));
  });

  it('folds the designed sequence with the lowest global score', async () => {
    const bench = createBench();
    const sequences = await bench.make('proteinmpnn', { num_sequences: 6 });
    const best = [...sequences.sequences].sort((a, b) => a.globalScore - b.globalScore)[0]!.fasta.split('\n')[1]!;
    const alone = await bench.make('boltz', {}, { sequences });
    const cif = bench.files.get(alone.artifacts[0]!.uri)!;
    assert.ok(cif.includes(` ${best} A\n`));
    const chains = [{ id: 'T', sequence: 'MKTAYIAK' }, { id: 'B' }];
    const bound = await bench.make('boltz', { chains }, { sequences });
    assert.ok(bench.files.get(bound.artifacts[0]!.uri)!.includes(` ${best} B\n`));
    const given = await bench.make('af2', { sequence: 'MKTAYIAK' }, { sequences });
    assert.equal(given.artifacts[0]!.metrics.length, 8);
  });

  it('gives the metrics that designs are ranked by', async () => {
    const { rfdiffusion, proteinmpnn, boltz, af2 } = await design();
    const names = (output: StepOutput) => output.artifacts.map(({ metrics }) => Object.keys(metrics).sort().join(' '));
    assert.deepEqual(names(rfdiffusion), ['length plddt', 'length plddt']);
    assert.deepEqual(names(proteinmpnn), ['global_score length seq_recovery']);
    assert.deepEqual(names(boltz), ['confidence_score iptm length pae plddt ptm', 'length mean_pae']);
    assert.deepEqual(names(af2), ['length mean_plddt pae plddt ptm rmsd', 'length mean_pae']);
    const finite = [rfdiffusion, proteinmpnn, boltz, af2]
      .flatMap(({ artifacts }) => artifacts.flatMap(({ metrics }) => Object.values(metrics)))
      .every(Number.isFinite);
    assert.ok(finite);
    // Both are kept as jsonb and pass through the engine's log.
    assert.deepEqual(JSON.parse(JSON.stringify(boltz)), boltz);
  });

  it('reports rising progress from 0 to less than 1, in words', async () => {
    for (const tool of TOOLS) {
      const reports: { fraction: number; message: string }[] = [];
      await createBench().make(tool, {}, {}, (report) => reports.push(report));
      assert.ok(reports.length >= 4 && reports.length <= 10, `${tool}: ${reports.length} reports`);
      assert.equal(reports[0]!.fraction, 0);
      for (const [i, { fraction, message }] of reports.entries()) {
        assert.ok(fraction < 1 && fraction > (reports[i - 1]?.fraction ?? -1));
        assert.match(message, /\d/);
      }
      assert.equal(new Set(reports.map(({ message }) => message)).size, reports.length);
    }
  });

  it('takes the time it is given', async () => {
    const timed = async (bench: ReturnType<typeof createBench>, params: StepJob['params']) => {
      const start = performance.now();
      await bench.make('proteinmpnn', params);
      return performance.now() - start;
    };
    assert.ok((await timed(createBench(0.5), {})) >= 290);
    assert.ok((await timed(createBench(0), { mock: { seconds: 0.3 } })) >= 290);
    assert.ok((await timed(createBench(60), { mock: { seconds: 0 } })) < 5000);
  });

  it('stops at once when it is cancelled, and throws the reason', async () => {
    const { runner } = createBench(3600);
    const cancel = new AbortController();
    const reason = new Error('cancelled by its owner');
    const run = runner.run(jobOf('af2'), () => cancel.abort(reason), cancel.signal);
    await within(
      'the cancelled run to end',
      assert.rejects(run, (error) => error === reason),
    );
    await assert.rejects(runner.run(jobOf('af2'), ignoreProgress, cancel.signal), (error) => error === reason);
  });

  it('throws the reason when the cancellation breaks an upload', async () => {
    const cancel = new AbortController();
    const runner = createMockRunner({
      stepSeconds: 0,
      putArtifact: (_bytes, _type, _extension, _metrics, signal) =>
        new Promise((_, reject) => {
          signal!.addEventListener('abort', () => reject(new Error('socket closed')));
          cancel.abort('stop');
        }),
    });
    const run = runner.run(jobOf('rfdiffusion'), ignoreProgress, cancel.signal);
    await within(
      'the cancelled run to end',
      assert.rejects(run, (error) => error === 'stop'),
    );
  });

  it('ends its runs when it is closed', async () => {
    const { runner } = createBench(3600);
    const run = assert.rejects(runner.run(jobOf('boltz'), ignoreProgress, never), /closed/);
    await within('the runner to close', runner.close());
    await within('the run to end', run);
  });

  it('makes the files of many steps one step at a time, with room for others in between', async () => {
    let turn = 0;
    let done = false;
    const count = () => {
      turn += 1;
      if (!done) setImmediate(count);
    };
    const turns = new Set<number>();
    const runner = createMockRunner({
      stepSeconds: 0,
      async putArtifact(bytes, contentType, _extension, metrics) {
        turns.add(turn);
        return { uri: 'r2://test/x', contentType, sizeBytes: bytes.byteLength, sha256: 'x', metrics };
      },
    });
    count();
    const params = { contigs: '10', num_designs: 1 };
    const runs = Array.from({ length: 8 }, () => runner.run(jobOf('rfdiffusion', { params }), ignoreProgress, never));
    await Promise.all(runs);
    done = true;
    assert.equal(turns.size, 8);
  });

  it('says that an upload failed without saying where to', async () => {
    const runner = createMockRunner({
      stepSeconds: 0,
      putArtifact: async () => {
        throw new Error('connect ECONNREFUSED 10.0.0.7:9000');
      },
    });
    const outcome = await runner.run(jobOf('rfdiffusion'), ignoreProgress, never);
    assert.deepEqual(outcome, {
      fault: {
        code: 'ARTIFACT_UPLOAD_FAILED',
        message: 'the artifact store did not take a file that the step made',
        retryable: true,
      },
    });
  });
});

describe('params.mock', () => {
  it('fails every attempt, after some of the progress', async () => {
    for (const tool of TOOLS) {
      const fractions: number[] = [];
      const job = jobOf(tool, { attempt: 7, params: { mock: { fail: true } } });
      const outcome = await createBench().runner.run(job, ({ fraction }) => fractions.push(fraction), never);
      assert.ok('fault' in outcome);
      assert.equal(outcome.fault.code, 'OOM');
      assert.match(outcome.fault.message, /^CUDA out of memory/);
      assert.equal(outcome.fault.retryable, true);
      assert.ok(fractions.length >= 2 && Math.max(...fractions) < 0.8);
    }
  });

  it('fails the first attempts only', async () => {
    const params = { mock: { fail_attempts: 2, code: 'GPU_LOST', message: 'the GPU fell off the bus' } };
    const expected = { code: 'GPU_LOST', message: 'the GPU fell off the bus', retryable: true };
    assert.deepEqual(await faultOf(jobOf('af2', { attempt: 1, params })), expected);
    assert.deepEqual(await faultOf(jobOf('af2', { attempt: 2, params })), expected);
    const third = await createBench().runner.run(jobOf('af2', { attempt: 3, params }), ignoreProgress, never);
    assert.ok('output' in third);
  });
});

describe('parameters that are wrong', () => {
  const long = 'A'.repeat(401);
  const refused: [tool: Tool, params: StepJob['params'], code: string, named: RegExp][] = [
    [
      'rfdiffusion',
      { num_designs: 'many' },
      'INVALID_ARGUMENT',
      /^params\.num_designs must be a whole number from 1 to 16$/,
    ],
    ['rfdiffusion', { num_designs: 17 }, 'INVALID_ARGUMENT', /num_designs/],
    ['rfdiffusion', { num_designs: 1.5 }, 'INVALID_ARGUMENT', /num_designs/],
    ['rfdiffusion', { diffusion_steps: 0 }, 'INVALID_ARGUMENT', /diffusion_steps/],
    ['rfdiffusion', { contigs: 100 }, 'INVALID_ARGUMENT', /^params\.contigs must be a text$/],
    ['rfdiffusion', { contigs: '' }, 'INVALID_CONTIG', /^params\.contigs is empty$/],
    ['rfdiffusion', { contigs: 'a hundred' }, 'INVALID_CONTIG', /^params\.contigs "a hundred" cannot be read at/],
    ['rfdiffusion', { contigs: '100-' }, 'INVALID_CONTIG', /contigs/],
    ['rfdiffusion', { contigs: '100//20' }, 'INVALID_CONTIG', /contigs/],
    ['rfdiffusion', { contigs: '120-100' }, 'INVALID_CONTIG', /"120-100"/],
    ['rfdiffusion', { contigs: '0-5' }, 'INVALID_CONTIG', /"0-5"/],
    ['rfdiffusion', { contigs: '300/0 101' }, 'INVALID_CONTIG', /up to 401 residues, but at most 400/],
    ['rfdiffusion', { contigs: '1 '.repeat(27) }, 'INVALID_CONTIG', /27 chains/],
    ['proteinmpnn', { num_sequences: -1 }, 'INVALID_ARGUMENT', /num_sequences/],
    ['proteinmpnn', { sampling_temp: 'hot' }, 'INVALID_ARGUMENT', /sampling_temp/],
    ['boltz', { chains: 'MKT' }, 'INVALID_ARGUMENT', /^params\.chains must be a list of objects$/],
    [
      'boltz',
      {
        chains: [
          { id: 'A', sequence: 'MKT' },
          { id: 'B', sequence: 'MK1' },
        ],
      },
      'INVALID_SEQUENCE',
      /^params\.chains\[1\]\.sequence has "1" at position 3/,
    ],
    ['boltz', { chains: [{ sequence: 'MKT' }, { sequence: 'MKT' }] }, 'INVALID_ARGUMENT', /same id/],
    ['boltz', { chains: [{ id: 'A B', sequence: 'MKT' }] }, 'INVALID_ARGUMENT', /chains\[0\]\.id/],
    ['boltz', { chains: [{ sequence: 7 }] }, 'INVALID_ARGUMENT', /chains\[0\]\.sequence must be a text/],
    ['boltz', { chains: [{ id: 'A' }] }, 'INVALID_ARGUMENT', /chains\[0\]\.sequence is missing/],
    ['boltz', { chains: [{ sequence: 'ACGT', entity_type: 'dna' }] }, 'INVALID_ARGUMENT', /chains\[0\]\.entity_type/],
    [
      'boltz',
      {
        chains: [
          { id: 'A', sequence: 'A'.repeat(300) },
          { id: 'B', sequence: 'A'.repeat(101) },
        ],
      },
      'INVALID_SEQUENCE',
      /401 residues/,
    ],
    ['boltz', { diffusion_samples: 9 }, 'INVALID_ARGUMENT', /diffusion_samples/],
    [
      'af2',
      { sequence: 'MKX' },
      'INVALID_SEQUENCE',
      /^params\.sequence has "X" at position 3, which is no amino acid$/,
    ],
    ['af2', { sequence: 'MK🧬' }, 'INVALID_SEQUENCE', /has "🧬" at position 3/],
    ['af2', { sequence: '' }, 'INVALID_SEQUENCE', /empty/],
    ['af2', { sequence: long }, 'INVALID_SEQUENCE', /401 residues, but at most 400/],
    ['af2', { sequence: ['MKT'] }, 'INVALID_ARGUMENT', /params\.sequence must be a text/],
    ['af2', { num_models: 6 }, 'INVALID_ARGUMENT', /num_models/],
    ['af2', { mock: true }, 'INVALID_ARGUMENT', /^params\.mock must be an object$/],
    ['af2', { mock: { fail: 'yes' } }, 'INVALID_ARGUMENT', /^params\.mock\.fail must be true or false$/],
    ['af2', { mock: { fail_attempts: -1 } }, 'INVALID_ARGUMENT', /^params\.mock\.fail_attempts must be/],
    ['af2', { mock: { seconds: '1' } }, 'INVALID_ARGUMENT', /^params\.mock\.seconds must be a number/],
    ['af2', { mock: { code: 'oh no' } }, 'INVALID_ARGUMENT', /^params\.mock\.code must be/],
  ];
  for (const [tool, params, code, named] of refused) {
    it(`${tool} ${JSON.stringify(params).slice(0, 60)}`, async () => {
      const fault = await faultOf(jobOf(tool, { params }));
      assert.equal(fault.code, code);
      assert.match(fault.message, named);
      assert.equal(fault.retryable, false);
      assert.ok(fault.message.length < 300);
    });
  }

  it('never break the runner, whatever they are', async () => {
    const { runner } = createBench();
    const known = fc.constantFrom(
      ...['contigs', 'num_designs', 'num_sequences', 'chains', 'sequence', 'num_models', 'mock', '__proto__'],
    );
    const params = fc.dictionary(known, fc.oneof(fc.jsonValue({ maxDepth: 3 }), fc.nat(4)), { maxKeys: 4 });
    const property = fc.asyncProperty(fc.constantFrom(...TOOLS), params, async (tool, anyParams) => {
      const outcome = await runner.run(jobOf(tool, { params: anyParams }), ignoreProgress, never);
      if ('fault' in outcome) assert.match(outcome.fault.code, /^INVALID_/);
    });
    await fc.assert(property, { numRuns: 200 });
  });

  it('are not those that it does not know, nor those that are null', async () => {
    const params = { contigs: null, num_designs: null, mock: null, noise_scale: 'low' };
    assert.equal((await createBench().make('rfdiffusion', params)).artifacts.length, 2);
  });
});
