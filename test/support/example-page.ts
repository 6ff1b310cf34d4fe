import assert from 'node:assert/strict';
import type { Browser } from 'playwright-core';

const WAIT_MS = 15_000;

export interface FormFields {
  readonly workflowId: string;
  readonly key: string;
  readonly silenceSeconds?: number;
}

/** One of the pages in examples/browser, in a profile of its own. `open` it before anything else. */
export async function createExamplePage(browser: Browser, url: string) {
  const context = await browser.newContext();
  const page = await context.newPage();
  const urls: string[] = [];
  const faults: string[] = [];
  page.on('request', (request) => urls.push(request.url()));
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('console', (message) => {
    if (message.text().includes('Content Security Policy')) faults.push(message.text());
  });

  /** The ids of the events that the page has, the oldest first; an empty one for a snapshot. */
  const ids = (): Promise<string[]> =>
    page.evaluate("[...document.querySelectorAll('#events li')].map(({ dataset }) => dataset.id).reverse()");

  return {
    page,
    /** Every URL that the page has asked for. */
    urls,
    /** What went wrong in its scripts. */
    faults,
    /** Opens the page, again if it was open. */
    async open(): Promise<void> {
      await page.unrouteAll();
      urls.length = 0;
      await page.goto(url);
    },
    async connect({ workflowId, key, silenceSeconds = 45 }: FormFields): Promise<void> {
      await page.fill('#workflow-id', workflowId);
      await page.fill('#api-key', key);
      await page.fill('#silence', String(silenceSeconds));
      await page.click('text="Connect"');
    },
    disconnect: () => page.click('text="Disconnect"'),
    text: async (selector: string) => (await page.textContent(selector)) ?? '',
    /** Waits until the status line has this `data-status`. */
    becomes: (status: string) => page.locator(`#status[data-status=${status}]`).waitFor({ timeout: WAIT_MS }),
    /** Waits for as many events, and fails unless they are these. */
    async shows(...expected: string[]): Promise<void> {
      const last = page.locator('#events li').nth(expected.length - 1);
      await last.waitFor({ timeout: WAIT_MS }).catch(() => undefined);
      assert.deepEqual(await ids(), expected);
    },
    close: () => context.close(),
  };
}

export type ExamplePage = Awaited<ReturnType<typeof createExamplePage>>;
