import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { LAPTOP_DEFAULTS } from '../../src/bin/stack.ts';
import { GATEWAY_PREFIX, gatewaySettings } from '../../src/gateway/config.ts';
import { ORCHESTRATOR_PREFIX, orchestratorSettings } from '../../src/orchestrator/config.ts';
import type { Settings } from '../../src/shared/settings.ts';

const ROOT = new URL('../../', import.meta.url);
const PAGE = readFileSync(new URL('docs/configuration.md', ROOT), 'utf8');

/** The rows of the tables under a heading, each as the texts of its cells, without the heads. */
function rowsUnder(heading: string): string[][] {
  const section = PAGE.split(/^## /m).find((part) => part.startsWith(`${heading}\n`));
  assert.ok(section, `docs/configuration.md has no section ${heading}`);
  const rows = section.match(/^\| `.*\|$/gm) ?? [];
  return rows.map((row) =>
    row
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim()),
  );
}

function expectedRows(prefix: string, settings: Settings): string[][] {
  return Object.entries(settings).map(([name, { defaultText, desc, secret }]) => {
    return [`\`${prefix}${name}\``, defaultText ? `\`${defaultText}\`` : '(empty)', secret ? 'yes' : '', desc];
  });
}

describe('docs/configuration.md', () => {
  it('has one row for each setting of the gateway, as the code has it', () => {
    assert.deepEqual(rowsUnder('Gateway'), expectedRows(GATEWAY_PREFIX, gatewaySettings));
  });

  it('has one row for each setting of the orchestrator, as the code has it', () => {
    assert.deepEqual(rowsUnder('Orchestrator'), expectedRows(ORCHESTRATOR_PREFIX, orchestratorSettings));
  });

  it('has what npm start presets', () => {
    const [dataDir, ...presets] = rowsUnder('npm start');
    assert.deepEqual(dataDir?.slice(0, 2), ['`FOLDFORGE_DATA_DIR`', '`.foldforge`']);
    assert.deepEqual(
      presets,
      Object.entries(LAPTOP_DEFAULTS).map(([name, value]) => [`\`${name}\``, `\`${value}\``]),
    );
  });
});

describe('.env.example', () => {
  const lines = readFileSync(new URL('.env.example', ROOT), 'utf8').split('\n');

  it('sets nothing, and shows defaults of settings that exist', () => {
    const known = new Map<string, string>([['FOLDFORGE_DATA_DIR', '.foldforge']]);
    const programs: [string, Settings][] = [
      [GATEWAY_PREFIX, gatewaySettings],
      [ORCHESTRATOR_PREFIX, orchestratorSettings],
    ];
    for (const [prefix, settings] of programs) {
      for (const [name, { defaultText }] of Object.entries(settings)) known.set(prefix + name, defaultText);
    }
    assert.deepEqual(
      lines.filter((line) => line !== '' && !line.startsWith('#')),
      [],
    );
    const shown = lines.flatMap((line) => {
      const [, name, value] = /^#(\w+)=(.*)$/.exec(line) ?? [];
      return name === undefined ? [] : [[name, value]];
    });
    assert.ok(shown.length > 20, 'settings are shown as #NAME=default');
    for (const [name, value] of shown) assert.equal(value, known.get(name!), name);
  });
});
