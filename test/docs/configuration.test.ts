import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { generateDocs } from '../../scripts/generate-docs.ts';
import { GATEWAY_PREFIX, gatewaySettings } from '../../src/gateway/config.ts';
import { ORCHESTRATOR_PREFIX, orchestratorSettings } from '../../src/orchestrator/config.ts';

describe('what is made from the code by npm run gen', () => {
  for (const [file, text] of generateDocs()) {
    it(`${file} is up to date`, () => {
      assert.equal(readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8'), text);
    });

    it(`${file} has each setting once, with its default`, () => {
      for (const [prefix, settings] of [
        [GATEWAY_PREFIX, gatewaySettings],
        [ORCHESTRATOR_PREFIX, orchestratorSettings],
      ] as const) {
        for (const [name, { defaultText, desc }] of Object.entries(settings)) {
          const lines = text
            .split('\n')
            .filter((line) => line.startsWith(`#${prefix}${name}=`) || isRow(line, prefix + name));
          assert.equal(lines.length, 1, prefix + name);
          assert.ok(lines[0]!.includes(defaultText), lines[0]);
          if (lines[0]!.startsWith('|')) assert.ok(lines[0]!.includes(desc), lines[0]);
        }
      }
    });
  }

  it('.env.example sets nothing', () => {
    const lines = generateDocs().get('.env.example')!.split('\n');
    assert.deepEqual(
      lines.filter((line) => line !== '' && !line.startsWith('#')),
      [],
    );
  });
});

/** A row of the tables of settings, which have four columns; that of presets has two. */
function isRow(line: string, variable: string): boolean {
  return line.startsWith(`| \`${variable}\` |`) && line.split('|').length >= 6;
}
