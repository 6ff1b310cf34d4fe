import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Browser, Page } from 'playwright-core';

/** Sizes of a page, in CSS pixels. */
export const DESK = { width: 1280, height: 860 };
export const PHONE = { width: 360, height: 740 };

const WAIT_MS = 20_000;
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface Violation {
  readonly id: string;
  readonly impact: string;
  readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[];
}

/** Sums up what has moved without being asked to (web.dev/cls), in `window.shifts`. */
const WATCH_SHIFTS = `
  window.shifts = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts += entry.value;
  }).observe({ type: 'layout-shift', buffered: true });
`;

export type ConsolePage = Awaited<ReturnType<typeof openConsolePage>>;

/** The console in a profile of its own, on the server at `url`. */
export async function openConsolePage(browser: Browser, url: string) {
  const context = await browser.newContext({ viewport: DESK, acceptDownloads: true });
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  const urls: string[] = [];
  const faults: string[] = [];
  page.on('request', (request) => urls.push(request.url()));
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('console', (message) => {
    const text = message.text();
    // Chromium's own words for an answer of 4xx and for a lost connection, which tests ask for.
    if (message.type() !== 'error' || text.startsWith('Failed to load resource: ')) return;
    faults.push(text);
  });
  await page.addInitScript(WATCH_SHIFTS);

  return {
    page,
    /** Every URL that was asked for. */
    urls,
    /** Errors of the page's scripts, and what its content security policy has stopped. */
    faults,
    /** Loads the page anew, at this path. */
    open: (path: string) => page.goto(url + path),
    role: (role: Parameters<Page['getByRole']>[0], name: string | RegExp) =>
      page.getByRole(role, { name, exact: true }),
    /** What is stored under all names, in the page's own storage. */
    stored: (storage: 'localStorage' | 'sessionStorage') =>
      page.evaluate<string[]>(`Object.values(${storage}).map(String)`),
    focused: () => page.evaluate<string>('document.activeElement.textContent || document.activeElement.id'),
    shifts: () => page.evaluate<number>('window.shifts'),
    /** Fails where axe finds a serious or critical fault, in either theme. */
    async isAccessible(what: string): Promise<void> {
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
        // What was on its way when the theme changed has colours of neither.
        await page.evaluate('Promise.allSettled(document.getAnimations().map(({ finished }) => finished))');
        if (!(await page.evaluate('"axe" in window'))) await page.evaluate(AXE);
        // Only colours differ.
        const options = colorScheme === 'light' ? { resultTypes: ['violations'] } : { runOnly: ['color-contrast'] };
        const run = `axe.run(${JSON.stringify(options)}).then(({ violations }) => violations)`;
        const violations = await page.evaluate<Violation[]>(run);
        const grave = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
        const told = grave.map(({ id, nodes }) => ({
          id,
          nodes: nodes.map((node) => node.failureSummary + node.html),
        }));
        assert.deepEqual(told, [], `${what}, ${colorScheme}`);
      }
      await page.emulateMedia({ colorScheme: null, reducedMotion: null });
    },
    /** Fails where a phone would have to scroll sideways. */
    async fitsPhone(what: string): Promise<void> {
      const before = page.viewportSize()!;
      await page.setViewportSize(PHONE);
      const width = await page.evaluate<number>('document.documentElement.scrollWidth');
      await page.setViewportSize(before);
      assert.ok(width <= PHONE.width, `${what} is ${width} px wide`);
    },
    close: () => context.close(),
  };
}
