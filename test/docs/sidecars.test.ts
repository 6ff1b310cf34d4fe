import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { af2Params } from '../../src/orchestrator/runners/sidecar/af2.ts';
import { boltzParams } from '../../src/orchestrator/runners/sidecar/boltz.ts';
import { chainParams, ligandParams } from '../../src/orchestrator/runners/sidecar/boltz-entities.ts';
import type { ParamTable } from '../../src/orchestrator/runners/sidecar/param-table.ts';
import { proteinmpnnParams } from '../../src/orchestrator/runners/sidecar/proteinmpnn.ts';
import { rfdiffusionParams } from '../../src/orchestrator/runners/sidecar/rfdiffusion.ts';

const PAGE = readFileSync(new URL('../../docs/sidecars.md', import.meta.url), 'utf8');

function rowsOf(table: ParamTable): string[] {
  return Object.entries(table).map(([name, { says, isRequired, fallbackText, meaning }]) => {
    const fallback = isRequired ? 'required' : fallbackText ? `\`${fallbackText}\`` : '';
    return `| \`${name}\` | ${says.replaceAll('|', '\\|')} | ${fallback} | ${meaning} |`;
  });
}

describe('docs/sidecars.md', () => {
  it('has one row for each parameter of the tools, as the code has it', () => {
    const tables = [rfdiffusionParams, proteinmpnnParams, boltzParams, chainParams, ligandParams, af2Params];
    const [parameters] = PAGE.split('## How a step of a sidecar fails');
    const listed = parameters!.match(/^\| `.*\|$/gm) ?? [];
    assert.deepEqual(listed.toSorted(), tables.flatMap((table) => rowsOf(table)).toSorted());
  });
});
