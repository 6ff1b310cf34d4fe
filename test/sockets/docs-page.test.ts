import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import type { Locator, Page, Route } from 'playwright-core';
import { buildDocsPage } from '../../scripts/docs-page/build-docs-page.ts';
import { readPages } from '../../src/gateway/pages.ts';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { recordFiles, sha256, storeSettings } from '../support/artifact-records.ts';
import { startChromium } from '../support/chromium.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { S3_SERVERS, type S3Server } from '../support/s3-servers.ts';
import { until } from '../support/waiting.ts';

const TOKEN = 'dev-token';
const WAIT_MS = 30_000;
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What the page needs, and no more: neither inline styles nor blobs. The gateway's own policy may allow more. */
const STRICTEST =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const chromium = await startChromium();

describe('the page of the API', { skip: 'missing' in chromium && chromium.missing }, () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'foldforge-test-'));
  let fake: FakeOrchestrator;
  let store: S3Server;
  let gateway: TestGateway;
  /** The page that the tests share. */
  let page: Page;
  const faults: string[] = [];
  const urls: string[] = [];

  before(async () => {
    await buildDocsPage(path.join(folder, 'docs'));
    mkdirSync(path.join(folder, 'console'));
    fake = await startFakeOrchestrator();
    store = await S3_SERVERS[0].start();
    const settings = { ORCHESTRATOR_ENDPOINT: fake.endpoint, ...storeSettings(store.url) };
    gateway = await startTestGateway(settings, readPages(pathToFileURL(`${folder}/`)));
    await openPage(STRICTEST);
  });
  after(async () => {
    if ('browser' in chromium) await chromium.browser.close();
    await gateway?.close();
    await store?.close();
    await fake?.close();
    rmSync(folder, { recursive: true });
  });
  afterEach(() => {
    assert.deepEqual(faults.splice(0), []);
    const foreign = urls.splice(0).filter((url) => !url.startsWith(gateway.url) && !/^(?:data|blob):/.test(url));
    assert.deepEqual(foreign, []);
  });

  async function openPage(policy?: string): Promise<void> {
    assert.ok('browser' in chromium);
    await page?.context().close();
    page = await (await chromium.browser.newContext({ reducedMotion: 'reduce' })).newPage();
    page.setDefaultTimeout(WAIT_MS);
    page.on('request', (request) => urls.push(request.url()));
    page.on('pageerror', (error) => faults.push(String(error)));
    page.on('console', (message) => {
      // Chromium's own words for an answer of 4xx, which tests ask for.
      if (!/the server responded with a status of 4\d\d/.test(message.text())) faults.push(message.text());
    });
    if (policy !== undefined) await page.route('**/docs', (route) => replacePolicy(route, policy));
    await page.clock.install();
    await page.goto(`${gateway.url}/docs`);
    await operation('submitWorkflow').waitFor();
  }

  async function replacePolicy(route: Route, policy: string): Promise<void> {
    const response = await route.fetch();
    await route.fulfill({ response, headers: { ...response.headers(), 'content-security-policy': policy } });
  }

  const operation = (operationId: string) => page.locator(`.opblock[id$="-${operationId}"]`);

  async function authorize(token = TOKEN): Promise<void> {
    await page.click('.auth-wrapper .authorize');
    await page.fill('#auth-bearer-value', token);
    await page.keyboard.press('Enter');
    await page.locator('.modal-ux', { hasText: 'Authorized' }).waitFor();
    await page.keyboard.press('Escape');
    await page.locator('.modal-ux').waitFor({ state: 'detached' });
  }

  /** Opens an operation unless it is open, and fills its parameters in. */
  async function prepare(operationId: string, parameters: Readonly<Record<string, string>> = {}): Promise<Locator> {
    const block = operation(operationId);
    if ((await block.locator('.execute').count()) === 0) await block.locator('.opblock-summary-control').click();
    for (const [name, value] of Object.entries(parameters)) {
      await block.locator(`[data-param-name="${name}"] input`).fill(value);
    }
    return block;
  }

  /** Sends the request of an open operation; answers with what the page shows of the answer. */
  async function execute(block: Locator, status: number): Promise<string> {
    await block.locator('.execute').click();
    return shownAnswer(block, status);
  }

  async function shownAnswer(block: Locator, status: number): Promise<string> {
    const answer = block.locator('.live-responses-table .response');
    await answer.locator('.response-col_status', { hasText: String(status) }).waitFor();
    return (await answer.locator('.response-col_description').textContent())!;
  }

  async function assertAccessible(label: string, selector: string): Promise<void> {
    await page.evaluate(AXE);
    const run = `axe.run('${selector}', { resultTypes: ['violations'] })`;
    const { violations } = await page.evaluate<{ violations: AxeViolation[] }>(run);
    const grave = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
    assert.deepEqual(
      grave.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join('\n')}`),
      [],
      label,
    );
  }

  it('tries the API with a token, under the strictest policy', async () => {
    const list = await prepare('listWorkflows');
    assert.match(await execute(list, 401), /"code": "UNAUTHENTICATED"/);
    await authorize();
    const submitted = await execute(await prepare('submitWorkflow'), 201);
    assert.match(submitted, /"name": "binder for 6M0J"/);
    assert.match(submitted, /x-request-id: /);
    assert.match(await execute(list, 200), /"name": "binder for 6M0J"/);
  });

  it('says what the gateway refuses', async () => {
    const submit = await prepare('submitWorkflow');
    await submit.locator('textarea').fill('{ "name": "x", "steps": [{ "id": "a", "tool": "hammer" }] }');
    assert.match(await execute(submit, 400), /"pointer": "\/steps\/0\/tool"/);
    assert.match(await execute(await prepare('getWorkflow', { id: 'nothing' }), 404), /"code": "NOT_FOUND"/);
  });

  it('offers what a workflow made as a file, with the slashes of its key', async () => {
    const file = randomBytes(1_000);
    const key = 'artifacts/ü b/design.pdb';
    await store.put(key, file);
    const id = recordFiles(fake, [{ key, sizeBytes: file.length, sha256: sha256(file) }]);
    const download = await prepare('downloadArtifact', { id, key });
    assert.match(await execute(download, 200), /repr-digest: /);
    const [saved] = await Promise.all([page.waitForEvent('download'), download.locator('a[download]').click()]);
    assert.deepEqual(readFileSync(await saved.path()), file);
    assert.equal(saved.suggestedFilename(), 'design.pdb');
  });

  it('says where the file is when it is at the object store alone', async () => {
    const headers = { location: 'https://store.invalid/design.pdb' };
    await page.route('**/artifacts/elsewhere', (route) => route.fulfill({ status: 302, headers }));
    const download = await prepare('downloadArtifact', { id: 'any', key: 'elsewhere' });
    await download.locator('.execute').click();
    await download.locator('.live-responses-table', { hasText: 'use the curl command, with -L' }).waitFor();
  });

  it('shows the beginning of an event stream that goes on', async () => {
    const { id } = fake.put({ spec: { name: 'x' }, state: JobState.RUNNING });
    const watch = await prepare('streamWorkflowEvents', { id });
    await Promise.all([page.waitForResponse(/\/events\b/), watch.locator('.execute').click()]);
    await until('the page has left', async () => {
      await page.clock.fastForward(1_000);
      return fake.openStreams() === 0;
    });
    const shown = await shownAnswer(watch, 200);
    assert.match(shown, /event: workflow_update/);
    assert.match(shown, /: this page stopped reading after 10 seconds; the curl command goes on/);
  });

  it('shows a whole event stream that ends', async () => {
    const { id } = fake.put({ spec: { name: 'x' }, state: JobState.RUNNING });
    const watch = await prepare('streamWorkflowEvents', { id });
    await watch.locator('.execute').click();
    await until('the stream is open', () => fake.openStreams() === 1);
    fake.workflowUpdate(id, JobState.SUCCEEDED);
    // Until then the page may show the answer before it.
    await watch.locator('.live-responses-table .response', { hasText: 'event: end' }).waitFor();
    assert.doesNotMatch(await shownAnswer(watch, 200), /stopped reading/);
  });

  it('is accessible, in light and dark, and no wider than a screen or a phone', async () => {
    await prepare('cancelWorkflow');
    await operation('submitWorkflow').locator('.show-response').first().click();
    await page.click('.models-control');
    await page.locator('.models .json-schema-2020-12').first().waitFor();
    for (const { colorScheme, width } of [
      { colorScheme: 'light', width: 1280 },
      { colorScheme: 'dark', width: 360 },
    ] as const) {
      await page.setViewportSize({ width, height: 800 });
      await page.emulateMedia({ colorScheme });
      await page.locator(colorScheme === 'dark' ? 'html.dark-mode' : 'html:not(.dark-mode)').waitFor();
      await assertAccessible(`the page, ${colorScheme}`, 'html');
      assert.equal(await page.evaluate('document.documentElement.scrollWidth'), width);
      await page.click('.auth-wrapper .authorize');
      await page.locator('.modal-ux').waitFor();
      await assertAccessible(`the dialog, ${colorScheme}`, '.modal-ux');
      await page.keyboard.press('Escape');
    }
  });

  it('can be used without a mouse, under the policy of the gateway, and keeps the token nowhere', async () => {
    await openPage();
    await page.locator('.auth-wrapper .authorize').focus();
    await page.keyboard.press('Enter');
    await page.locator('#auth-bearer-value:focus').waitFor();
    await page.keyboard.type(TOKEN);
    await page.keyboard.press('Enter');
    await page.locator('.modal-ux', { hasText: 'Authorized' }).waitFor();
    await page.keyboard.press('Escape');
    // It gives the focus back when it goes.
    await page.locator('.modal-ux').waitFor({ state: 'detached' });
    for (const control of ['.opblock-summary-control', '.execute']) {
      await operation('getBalance').locator(control).focus();
      await operation('getBalance').locator(`${control}:focus`).waitFor();
      await page.keyboard.press('Enter');
    }
    assert.match(await shownAnswer(operation('getBalance'), 200), /"balance": 0/);
    const kept = await page.evaluate<string>(
      'JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href])',
    );
    assert.equal(kept, JSON.stringify([{}, {}, '', `${gateway.url}/docs#/billing/getBalance`]));
    assert.ok(!urls.some((url) => url.includes(TOKEN)));
    await page.reload();
    await execute(operation('getBalance'), 401);
  });
});

interface AxeViolation {
  readonly id: string;
  readonly impact: string;
  readonly nodes: readonly { readonly html: string }[];
}
