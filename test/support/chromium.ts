import { type Browser, chromium } from 'playwright-core';
import { findDebianProgram } from './debian.ts';

/** Without these it looks for updates, translations and other things on the network. */
const OFFLINE = [
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-gpu',
  '--disable-quic',
  '--disable-sync',
  '--no-first-run',
];

/** A real Chromium without a window, in a profile of its own that `close` removes; `missing` says why there is none. */
export async function startChromium(): Promise<{ readonly browser: Browser } | { readonly missing: string }> {
  const program = await findDebianProgram('chromium', 'chromium');
  if ('missing' in program) return program;
  // Root cannot have the sandbox, and the pages are ours.
  const args = process.getuid?.() === 0 ? [...OFFLINE, '--no-sandbox'] : OFFLINE;
  return { browser: await chromium.launch({ executablePath: program.file, args }) };
}
