import type { Browser } from 'playwright-core';

const STEP_MS = 20_000;

/**
 * What a stranger does who has read what `npm start` printed: opens the console, signs in with the printed token, submits
 * the example, watches it end and looks at a structure. Answers how long that took, in milliseconds.
 */
export async function walkToStructure(browser: Browser, printed: string): Promise<number> {
  const found = /ready at \S+ +token: (\S+)[\s\S]*sign in with the token: (\S+)/.exec(printed);
  if (!found) throw new Error(`npm start has not printed where to sign in, and with what: ${printed}`);
  const [, token, consoleUrl] = found as unknown as [string, string, string];
  const page = await browser.newPage();
  page.setDefaultTimeout(STEP_MS);
  const startedAt = performance.now();
  await page.goto(consoleUrl);
  await page.getByLabel('API key or token').fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('link', { name: 'Submit' }).first().click();
  await page.getByRole('button', { name: 'Binder for ubiquitin' }).click();
  await page.getByRole('button', { name: 'Submit', exact: true }).click();
  await page.locator('h1 + .badge').filter({ hasText: 'Succeeded' }).waitFor();
  await page.getByRole('tab', { name: /^Files/ }).click();
  await page
    .getByRole('button', { name: /^View in 3D/ })
    .first()
    .click();
  await page.getByText(/\d+ residues, \d+ atoms/).waitFor();
  await page.getByRole('img', { name: /^3D drawing of/ }).waitFor();
  return performance.now() - startedAt;
}
