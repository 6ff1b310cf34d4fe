import { readFileSync, writeFileSync } from 'node:fs';
import { LAPTOP_DEFAULTS } from '../src/bin/stack.ts';
import { GATEWAY_PREFIX, gatewaySettings } from '../src/gateway/config.ts';
import { ORCHESTRATOR_PREFIX, orchestratorSettings } from '../src/orchestrator/config.ts';
import type { Settings } from '../src/shared/settings.ts';

const ROOT = new URL('../', import.meta.url);
const LINE_CHARACTERS = 120;

const PROGRAMS = [
  { heading: 'Gateway', prefix: GATEWAY_PREFIX, settings: gatewaySettings as Settings },
  { heading: 'Orchestrator', prefix: ORCHESTRATOR_PREFIX, settings: orchestratorSettings as Settings },
];

/** The files of which the code knows a part or all, as they should be: docs/configuration.md and .env.example. */
export function generateDocs(): ReadonlyMap<string, string> {
  const page = 'docs/configuration.md';
  return new Map([
    [page, withTables(readFileSync(new URL(page, ROOT), 'utf8'))],
    ['.env.example', writeEnvironmentFile()],
  ]);
}

/** The page with its tables made anew: under each heading the one that has these columns. */
function withTables(page: string): string {
  const tables = new Map(PROGRAMS.map(({ heading, prefix, settings }) => [heading, settingsTable(prefix, settings)]));
  tables.set('npm start', presetsTable());
  return page
    .split(/^(?=## )/m)
    .map((section) => {
      const made = tables.get(/^## (.*)$/m.exec(section)?.[1] ?? '');
      if (!made) return section;
      return section.replace(/(?:^\|.*\n)+/gm, (found) => (headsOf(found) === headsOf(made) ? made : found));
    })
    .join('');
}

function headsOf(table: string): string {
  return table.slice(0, table.indexOf('\n')).replaceAll(/ +/g, ' ');
}

function settingsTable(prefix: string, settings: Settings): string {
  const rows = Object.entries(settings).map(([name, { defaultText, desc, secret }]) => {
    return [`\`${prefix}${name}\``, defaultText ? `\`${defaultText}\`` : '(empty)', secret ? 'yes' : '', desc];
  });
  return table(['variable', 'default', 'secret', 'meaning'], rows);
}

function presetsTable(): string {
  const presets = Object.entries(LAPTOP_DEFAULTS).map(([name, value]) => [`\`${name}\``, `\`${value}\``]);
  return table(['variable', 'preset'], presets);
}

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |\n`;
  return [heads, heads.map(() => '---'), ...rows].map(line).join('');
}

function writeEnvironmentFile(): string {
  const sections = PROGRAMS.map(({ heading, prefix, settings }) => {
    const entries = Object.entries(settings).map(([name, { defaultText, desc, secret }]) => {
      const meaning = secret ? `${desc} (secret: ${prefix}${name}_FILE names a file instead)` : desc;
      return `\n${wrap(meaning)}#${prefix}${name}=${defaultText}\n`;
    });
    return `\n# ${'-'.repeat(20)} ${heading}\n${entries.join('')}`;
  });
  return `# Every setting with its default; made by npm run gen, as is docs/configuration.md, which says more.
# The programs do not read this file: load a copy with \`set -a; . ./.env\`, \`node --env-file=.env\` or \`docker run --env-file\`.

# Where npm start keeps its database and objects.
#FOLDFORGE_DATA_DIR=.foldforge
${sections.join('')}`;
}

/** A comment, in lines that are not too long. */
function wrap(text: string): string {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < LINE_CHARACTERS) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(`# ${word}`);
  }
  return lines.map((line) => `${line}\n`).join('');
}

if (import.meta.main) for (const [file, text] of generateDocs()) writeFileSync(new URL(file, ROOT), text);
