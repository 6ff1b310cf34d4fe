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

/** Draws in three dimensions by the processor alone, so that a picture is the same on every machine. */
const WEBGL = '--enable-unsafe-swiftshader';

/**
 * A real Chromium without a window, in a profile of its own that `close` removes; `missing` says why there is none.
 * `webgl`: its pages can draw in three dimensions.
 */
export async function startChromium({
  webgl = false,
} = {}): Promise<{ readonly browser: Browser } | { readonly missing: string }> {
  const program = await findDebianProgram('chromium', 'chromium');
  if ('missing' in program) return program;
  // Root cannot have the sandbox, and the pages are ours.
  const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  const args = [...OFFLINE, ...sandbox, ...(webgl ? [WEBGL] : [])];
  return { browser: await chromium.launch({ executablePath: program.file, args }) };
}
