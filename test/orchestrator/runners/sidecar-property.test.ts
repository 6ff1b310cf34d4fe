import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type Params, TOOLS, type Tool } from '../../../src/orchestrator/runners/runner.ts';
import { af2Params } from '../../../src/orchestrator/runners/sidecar/af2.ts';
import { boltzParams } from '../../../src/orchestrator/runners/sidecar/boltz.ts';
import { chainParams, ligandParams } from '../../../src/orchestrator/runners/sidecar/boltz-entities.ts';
import { proteinmpnnParams } from '../../../src/orchestrator/runners/sidecar/proteinmpnn.ts';
import { rfdiffusionParams } from '../../../src/orchestrator/runners/sidecar/rfdiffusion.ts';
import { connectInMemory, requestOf } from '../../support/sidecar-in-memory.ts';
import { plannedStep, sequencesOutput, sidecarJob, structureOutput } from '../../support/sidecar-jobs.ts';

const RUNS = 1_500;
const TABLES = { rfdiffusion: rfdiffusionParams, proteinmpnn: proteinmpnnParams, boltz: boltzParams, af2: af2Params };
const text = fc.string({ unit: 'binary', maxLength: 12 });
const json = fc.jsonValue({ maxDepth: 3, stringUnit: 'binary' });

const uri = fc.oneof(fc.constant('r2://bucket/artifacts/a.pdb'), text);
const artifact = fc.record({ uri, sha256: text, content_type: text, size_bytes: json }, { requiredKeys: [] });
const letters = fc.string({ unit: fc.constantFrom('A', 'c', 'G', ' ', ':', '/', '1'), maxLength: 8 });
const members = (names: readonly string[]) =>
  fc.record(Object.fromEntries(names.map((name) => [name, fc.oneof(letters, fc.constant('protein'), json)])), {
    requiredKeys: [],
  });
const lists = fc.oneof(
  fc.array(text, { maxLength: 3 }),
  fc.array(fc.oneof(members(Object.keys(chainParams)), members(Object.keys(ligandParams))), { maxLength: 3 }),
);
const number = fc.oneof(fc.integer({ min: -1, max: 300 }), fc.double(), fc.constantFrom(2 ** 32 - 1, 2 ** 32, 1e308));
const value = fc.oneof(
  letters,
  text,
  number,
  fc.boolean(),
  artifact,
  lists,
  json,
  fc.constant(null),
  fc.constant('QUJD'),
);

/** Parameters with names of the tool's, most of them, and values that it may understand. */
function paramsOf(tool: Tool): fc.Arbitrary<Params> {
  const name = fc.oneof({ weight: 30, arbitrary: fc.constantFrom(...Object.keys(TABLES[tool])) }, text);
  const contigs: Params = tool === 'rfdiffusion' ? { contigs: '70-90' } : {};
  return fc
    .array(fc.tuple(name, value), { maxLength: 4 })
    .map((entries) => ({ ...contigs, ...Object.fromEntries(entries) }));
}

describe('whatever the parameters are', () => {
  for (const tool of TOOLS) {
    it(`${tool} says what is wrong with them, or turns them into a request`, async () => {
      const inputs = { a: structureOutput('a'), b: sequencesOutput(['MKTAY', 1]) };
      const client = connectInMemory(tool, {}, () => {});
      let accepted = 0;
      await fc.assert(
        fc.asyncProperty(fc.oneof(paramsOf(tool), fc.dictionary(text, json)), async (params) => {
          const planned = plannedStep(tool, { params, inputTools: ['rfdiffusion', 'proteinmpnn'] });
          const fault = client.findFault(planned);
          if (fault === undefined) {
            accepted++;
            assert.ok(await requestOf(tool, sidecarJob(tool, { params, inputs })));
          } else {
            assert.match(fault, /^params\./);
            assert.ok(fault.isWellFormed() && fault.length < 1_000, `${fault.length}`);
          }
        }),
        { numRuns: RUNS },
      );
      assert.ok(accepted > RUNS / 50, `only ${accepted} were accepted`);
    });
  }
});
