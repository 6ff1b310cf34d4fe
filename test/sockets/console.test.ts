import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, afterEach, before, describe, it } from 'node:test';
import type { Page } from 'playwright-core';
import type { components } from '../../src/gen/openapi.ts';
import { startChromium } from '../support/chromium.ts';
import { type ConsolePage, DESK, PHONE } from '../support/console-page.ts';
import { type ConsoleScene, startConsoleScene } from '../support/console-scene.ts';
import { until as untilBound } from '../support/waiting.ts';

type Workflow = components['schemas']['Workflow'];

const EXAMPLE = readFileSync(new URL('../../examples/workflows/binder-design.json', import.meta.url), 'utf8');

/** Bounded for a machine that does much else. */
const until = (label: string, condition: () => unknown) => untilBound(label, condition, 20_000);

const chromium = await startChromium({ webgl: true });

/** One story: each test goes on where the one before has left the page. */
describe('the console', { skip: 'missing' in chromium && chromium.missing, concurrency: false }, () => {
  let scene: ConsoleScene;
  let view: ConsolePage;
  let page: Page;
  let alice: string;

  before(async () => {
    assert.ok('browser' in chromium);
    scene = await startConsoleScene(chromium.browser);
    ({ view, page } = scene);
    alice = await scene.createKey('alice', '30', '3600');
  });
  after(async () => {
    if ('browser' in chromium) await chromium.browser.close();
    await scene?.close();
  });
  afterEach(() => assert.deepEqual(view.faults.splice(0), []));

  /** Asks the gateway itself, as alice. */
  const ask = <T>(target: string, init?: RequestInit) => scene.ask<T>(alice, target, init);
  const readWorkflow = (id: string) => ask<Workflow>(`/v1/workflows/${id}`);
  const stateOf = (workflow: Workflow, step: string) =>
    workflow.step_statuses.find(({ step_id }) => step_id === step)?.state;
  const shownId = () => /\/workflows\/([^/?]+)$/.exec(page.url())![1]!;

  const spec = () => page.getByLabel('Specification, as JSON');
  const connection = () => page.locator('.connection [role=status]');
  const badge = () => page.locator('h1 + .badge');

  const focusIs = (expected: string) =>
    until(`the focus is on ${expected}`, async () => (await view.focused()) === expected);

  async function signIn(key: string): Promise<void> {
    await page.getByLabel('API key or token').fill(key);
    await page.keyboard.press('Enter');
    await view.role('button', 'Sign out').waitFor();
  }

  it('signs in by keyboard alone, says when a key is wrong, and goes where the link led', async () => {
    await view.open('/console/submit');
    await view.role('heading', 'Sign in').waitFor();
    await focusIs('key');
    await page.keyboard.type('not a key');
    await page.keyboard.press('Enter');
    await page.getByText('visible ASCII characters without spaces').waitFor();
    await page.keyboard.press('Control+A');
    await page.keyboard.type('ffk_wrong');
    await page.keyboard.press('Enter');
    await page.getByText('The credential is not valid.').waitFor();
    await view.isAccessible('sign in, refused');
    await view.fitsPhone('sign in');
    await focusIs('key');
    await page.keyboard.press('Control+A');
    await page.keyboard.type(alice);
    await page.keyboard.press('Enter');
    await view.role('heading', 'Submit a workflow').waitFor();
    await focusIs('Submit a workflow');
    assert.equal(await page.title(), 'Submit · FoldForge');
    await page.getByText('30/30 left').waitFor();
    assert.deepEqual(await view.stored('sessionStorage'), [alice]);
  });

  it('shows what breaks the contract at the field, and what is no JSON where it ends to be', async () => {
    const atSpec = () => page.evaluate<boolean>('document.activeElement.id === "spec"');
    for (let stops = 0; !(await atSpec()); stops++) {
      assert.ok(stops < 6, 'the text can be reached by keyboard');
      await page.keyboard.press('Tab');
    }
    await page.keyboard.press('Control+A');
    await page.keyboard.insertText(EXAMPLE.replace('"boltz"', '"blotz"'));
    await page.keyboard.press('Tab');
    await focusIs('Submit');
    await page.keyboard.press('Enter');
    const line = EXAMPLE.slice(0, EXAMPLE.indexOf('"tool": "boltz"')).split('\n').length;
    const goThere = view.role('button', `Line ${line}, column 7`);
    await goThere.waitFor();
    await page.getByText('/steps/2/tool must be equal to one of the allowed values').waitFor();
    const selected = 'spec.value.slice(spec.selectionStart, spec.selectionEnd)';
    assert.equal(await page.evaluate(selected), '"tool": "blotz"');
    assert.equal(await page.locator('.editor-mark').getAttribute('data-line'), String(line));
    await view.isAccessible('submit, refused');
    await view.fitsPhone('submit');
    await page.keyboard.press('Control+Home');
    await page.keyboard.press('Tab');
    await focusIs(`Line ${line}, column 7`);
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(selected), '"tool": "blotz"');

    await spec().fill('{\n  "name": "x"\n  "steps": []\n}');
    await view.role('button', 'Submit').click();
    await view.role('button', 'Line 3, column 3').waitFor();
    await page.getByText('Expected a comma or }').waitFor();

    await spec().fill('{ "name": "x", "steps": [\n{ "id": "a", "tool": "af2", "depends_on": ["b"] }] }');
    await view.role('button', 'Submit').click();
    await view.role('button', 'Line 2, column 3').waitFor();
    await page.getByText('which is no step of this workflow').waitFor();

    await spec().fill(JSON.stringify({ name: 'x'.repeat(20_000), steps: [] }));
    await view.role('button', 'Submit').click();
    await page.getByText('PAYLOAD_TOO_LARGE').waitFor();
  });

  it('submits once, also when the answer is lost and the button is hit twice', async () => {
    let lost = 0;
    await page.route('**/v1/workflows', async (route) => {
      if (route.request().method() !== 'POST' || lost++ > 0) return route.continue();
      await route.fetch();
      await route.abort();
    });
    await view.role('button', 'Binder for ubiquitin').click();
    await view.role('button', 'Submit').click();
    await page.getByText('Submitting the same text again is safe').waitFor();
    await view.role('button', 'Submit').dblclick();
    await view.role('heading', 'Binder for ubiquitin').waitFor();
    await page.unrouteAll();
    assert.equal((await ask<{ workflows: Workflow[] }>('/v1/workflows')).workflows.length, 1);
    await page.getByText('29/30 left').waitFor();
    await focusIs('Binder for ubiquitin');
  });

  it('shows progress to the end, through a lost connection, and nothing on the page moves', async () => {
    // The one of the test before may be over by now.
    const slow = JSON.parse(EXAMPLE, (name, value) => (name === 'params' ? { ...value, mock: { seconds: 1 } } : value));
    const { id } = await ask<Workflow>('/v1/workflows', { method: 'POST', body: JSON.stringify(slow) });
    const resumed: string[] = [];
    page.on('request', (request) => {
      const cursor = request.headers()['last-event-id'];
      if (cursor !== undefined) resumed.push(cursor);
    });
    await view.open(`/console/workflows/${id}`);
    await connection().filter({ hasText: 'Live' }).waitFor();
    const shifts = await view.shifts();
    await view.role('tab', /^Files [1-9]/).waitFor();
    await scene.proxy.goAway();
    await connection().filter({ hasText: 'Connection lost' }).waitFor();
    await until('a step ends unseen', async () => stateOf(await readWorkflow(id), 'sequences') === 'SUCCEEDED');
    await scene.proxy.comeBack();
    await connection()
      .filter({ hasText: /Live|Over/ })
      .waitFor();
    await connection().filter({ hasText: 'Over' }).waitFor();
    assert.ok(resumed.length > 0 && Number(resumed.at(-1)) > 0, 'it has gone on after the last event');
    await badge().filter({ hasText: 'Succeeded' }).waitFor();
    assert.ok((await view.shifts()) - shifts < 0.1);

    const { step_statuses } = await readWorkflow(id);
    const files = step_statuses.flatMap(({ outputs }) => outputs).length;
    const sequences = step_statuses.flatMap((status) => status.sequences).length;
    await view.role('tab', `Files ${files}`).waitFor();
    await view.role('tab', `Sequences ${sequences}`).waitFor();
    await view.isAccessible('a workflow');
    await view.fitsPhone('a workflow');
  });

  it('draws a structure', async () => {
    await view.role('tab', /^Files/).click();
    await view.isAccessible('files');
    await view.fitsPhone('files');
    // A small picture is soon drawn by a processor.
    await page.setViewportSize(PHONE);
    await page
      .getByRole('button', { name: /^View in 3D/ })
      .first()
      .click();
    await page.getByRole('dialog', { name: /^Structure/ }).waitFor();
    await page.getByText(/\d+ residues, \d+ atoms/).waitFor();
    await page.getByLabel('Style').waitFor();
    const drawn = await page.evaluate<number>(`
      (() => {
        const canvas = document.querySelector('.structure-box canvas');
        const copy = Object.assign(document.createElement('canvas'), { width: 200, height: 150 });
        const context = copy.getContext('2d', { willReadFrequently: true });
        context.drawImage(canvas, 0, 0, copy.width, copy.height);
        const pixels = new Uint32Array(context.getImageData(0, 0, copy.width, copy.height).data.buffer);
        return pixels.filter((pixel) => pixel !== pixels[0]).length / pixels.length;
      })()
    `);
    assert.ok(drawn > 0.005 && drawn < 0.9, `${drawn} of the picture is no background`);
    await view.isAccessible('a structure');
    await view.fitsPhone('a structure');
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await page.setViewportSize(DESK);
  });

  it('downloads a file, and checks it', async () => {
    const downloading = page.waitForEvent('download');
    await page
      .getByRole('button', { name: /^Download/ })
      .first()
      .click();
    const download = await downloading;
    const digest = createHash('sha256')
      .update(readFileSync(await download.path()))
      .digest('hex');
    const { step_statuses } = await readWorkflow(shownId());
    const artifact = step_statuses.flatMap(({ outputs }) => outputs).find(({ sha256 }) => sha256 === digest);
    assert.ok(artifact, 'it is a file of the workflow');
    assert.equal(download.suggestedFilename(), artifact.uri.split('/').at(-1));
    await page.getByText('Saved, verified').waitFor();
  });

  it('ranks the designs, and sorts the table', async () => {
    await view.role('tab', 'Ranking').click();
    await page.getByLabel('Metric').first().selectOption('plddt');
    await view.role('button', 'Rank').click();
    const table = page.getByRole('table', { name: /^Designs ranked by plddt/ });
    await table.waitFor();
    const ranks = () => table.locator('tbody tr > :first-child').allTextContents();
    const inOrder = (await ranks()).map(Number);
    assert.ok(inOrder.length > 1);
    assert.deepEqual(
      inOrder,
      inOrder.toSorted((a, b) => a - b),
    );
    const head = table.getByRole('columnheader').first();
    const before_ = await head.getAttribute('aria-sort');
    await head.getByRole('button').click();
    assert.notEqual(await head.getAttribute('aria-sort'), before_);
    assert.deepEqual((await ranks()).map(Number), inOrder.toReversed());
    await view.isAccessible('a ranking');
    await view.fitsPhone('a ranking');
  });

  it('retries what has failed, and cancels what runs', async () => {
    await view.role('link', 'Submit').click();
    await view.role('button', /^Fails once/).click();
    await view.role('button', 'Submit').click();
    await badge().filter({ hasText: 'Failed' }).waitFor();
    await view.role('button', 'Retry').click();
    await badge().filter({ hasText: 'Succeeded' }).waitFor();
    await connection().filter({ hasText: 'Over' }).waitFor();

    await view.role('link', 'Submit again as new').click();
    await spec().filter({ hasText: '' }).waitFor();
    await until('the spec is there', async () => (await spec().inputValue()).includes('fail_attempts'));
    const again = JSON.parse(await spec().inputValue());
    again.steps[0].params.mock = { seconds: 60 };
    await spec().fill(JSON.stringify({ ...again, name: 'A long one' }));
    await view.role('button', 'Submit').click();
    await view.role('heading', 'A long one').waitFor();
    await view.role('button', 'Cancel').click();
    await view.role('button', 'Cancel the workflow').click();
    await badge().filter({ hasText: 'Cancelled' }).waitFor();
    assert.equal((await readWorkflow(shownId())).state, 'CANCELLED');
  });

  it('lists workflows by state and labels, in a link that can be shared', async () => {
    const names = () => page.locator('.listed-name').allTextContents();
    const shows = (...expected: string[]) =>
      until(`the list shows ${expected}`, async () => (await names()).join() === expected.join());
    const FLAKY = 'Fails once, then succeeds when retried';
    const BINDER = 'Binder for ubiquitin';
    await view.role('link', 'Workflows').click();
    await shows('A long one', FLAKY, BINDER, BINDER);
    await view.isAccessible('the list');
    await page.setViewportSize(PHONE);
    await page.locator('.listed-card').first().waitFor();
    await view.isAccessible('the list on a phone');
    await page.setViewportSize(DESK);
    await page.getByLabel('State').selectOption('Succeeded');
    await shows(FLAKY, BINDER, BINDER);
    await page.getByLabel('Label').fill('nonsense');
    await page.keyboard.press('Enter');
    await page.getByText('Write it as key=value.').waitFor();
    await page.getByLabel('Label').fill('purpose=retry');
    await page.keyboard.press('Enter');
    await shows(FLAKY);
    assert.equal(new URL(page.url()).search, '?state=SUCCEEDED&label=purpose%3Dretry');
    await page.reload();
    await shows(FLAKY);
    await view.fitsPhone('the list');
    await page.getByLabel('State').selectOption('Running');
    await page.getByText('Nothing matches').waitFor();
    await view.role('button', 'Clear the filters').click();
    await shows('A long one', FLAKY, BINDER, BINDER);
    await page.goBack();
    await page.getByText('Nothing matches').waitFor();
  });

  it('keeps the list up to date without moving it, and loads more of it', async () => {
    const body = JSON.stringify({
      name: 'One of many',
      steps: [{ id: 'a', tool: 'rfdiffusion', params: { mock: { seconds: 60 } } }],
    });
    const submit = () => ask<Workflow>('/v1/workflows', { method: 'POST', body });
    const { id } = await submit();
    await view.open('/console/');
    const rows = page.locator('.listed-name');
    await until('the list is there', async () => (await rows.count()) === 5);
    const shifts = await view.shifts();
    await rows.nth(1).focus();
    await ask(`/v1/workflows/${id}`, { method: 'DELETE' });
    const others = await Promise.all(Array.from({ length: 18 }, submit));
    const showNew = view.role('button', 'Show 18 new');
    await showNew.waitFor();
    assert.equal(await page.locator('tbody .badge').first().textContent(), 'Cancelled');
    assert.equal(await rows.count(), 5);
    assert.ok((await view.shifts()) - shifts < 0.1);
    assert.equal(await view.focused(), 'A long one');
    await showNew.click();
    assert.equal(await rows.count(), 23);
    await Promise.all(others.map((other) => ask(`/v1/workflows/${other.id}`, { method: 'DELETE' })));
    await page.reload();
    await view.role('button', 'Load more').click();
    await until('all are there', async () => (await rows.count()) === 23);
    await focusIs((await rows.nth(20).textContent())!);
  });

  it('chooses the other theme and keeps it, and goes to the content at once', async () => {
    const theme = () => page.evaluate<string>('getComputedStyle(document.documentElement).colorScheme');
    await page.emulateMedia({ colorScheme: 'light' });
    await view.role('button', 'Use the dark theme').click();
    await page.reload();
    assert.equal(await theme(), 'dark');
    await view.role('button', 'Use the light theme').click();
    assert.equal(await theme(), 'light dark');
    await page.reload();
    await view.role('heading', 'Workflows').waitFor();
    await page.keyboard.press('Tab');
    await focusIs('Skip to the content');
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate('document.activeElement.id'), 'main');
  });

  it('goes on with a download when another step brings files above it', async () => {
    const steps = [3, 0.2].map((seconds, index) => ({
      id: `step-${index}`,
      tool: 'rfdiffusion',
      params: { mock: { seconds } },
    }));
    const body = JSON.stringify({ name: 'Two at a time', steps });
    const { id } = await ask<Workflow>('/v1/workflows', { method: 'POST', body });
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    await page.route('**/artifacts/**', (route) => released.then(() => route.continue()));
    await view.open(`/console/workflows/${id}`);
    await view.role('tab', /^Files [1-9]/).click();
    const row = page.locator('.file').filter({ hasText: 'step-1 ·' }).first();
    await row.getByRole('button', { name: /^Download/ }).click();
    await badge().filter({ hasText: 'Succeeded' }).waitFor();
    await page.locator('.file').filter({ hasText: 'step-0 ·' }).first().waitFor();
    const downloading = page.waitForEvent('download');
    release();
    await downloading;
    await row.getByText('Saved, verified').waitFor();
    await page.unrouteAll();
  });

  it('holds a connection only for a page that somebody sees', async () => {
    const seen = (isSeen: boolean) =>
      page.evaluate(`
        Object.defineProperty(document, 'hidden', { configurable: true, get: () => ${!isSeen} });
        document.dispatchEvent(new Event('visibilitychange'));
      `);
    const body = JSON.stringify({
      name: 'Out of sight',
      steps: [{ id: 'a', tool: 'rfdiffusion', params: { mock: { seconds: 60 } } }],
    });
    const { id } = await ask<Workflow>('/v1/workflows', { method: 'POST', body });
    await view.open(`/console/workflows/${id}`);
    await connection().filter({ hasText: 'Live' }).waitFor();
    await seen(false);
    await connection().filter({ hasText: 'Connecting' }).waitFor();
    await ask(`/v1/workflows/${id}`, { method: 'DELETE' });
    await seen(true);
    await badge().filter({ hasText: 'Cancelled' }).waitFor();
  });

  it('keeps a question open until it is answered, however often Escape is hit', async () => {
    const body = JSON.stringify({
      name: 'Cancelled in vain',
      steps: [{ id: 'a', tool: 'rfdiffusion', params: { mock: { seconds: 60 } } }],
    });
    const { id } = await ask<Workflow>('/v1/workflows', { method: 'POST', body });
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    await page.route(`**/v1/workflows/${id}`, async (route) => {
      if (route.request().method() !== 'DELETE') return route.continue();
      await released;
      await route.abort();
    });
    await view.open(`/console/workflows/${id}`);
    await view.role('button', 'Cancel').click();
    await view.role('button', 'Cancel the workflow').click();
    const dialog = page.getByRole('dialog', { name: 'Cancel this workflow?' });
    await dialog.getByText('Cancelling…').waitFor();
    for (let time = 0; time < 3; time++) await page.keyboard.press('Escape');
    release();
    await dialog.getByText('cannot be reached').waitFor();
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    await page.unrouteAll();
    await view.role('button', 'Cancel').click();
    await view.role('button', 'Cancel the workflow').click();
    await badge().filter({ hasText: 'Cancelled' }).waitFor();
  });

  it('says plainly what is not there, what a key may not do, and when its quota is used up', async () => {
    await view.open('/console/workflows/none');
    await view.role('heading', 'No such workflow').waitFor();
    await view.open('/console/nothing/here');
    await view.role('heading', 'There is no such page').waitFor();
    await view.isAccessible('a page that is not there');

    await view.role('button', 'Sign out').click();
    await signIn(await scene.createKey('bob', '--read-only'));
    await view.open('/console/submit');
    await view.role('button', 'Submit').click();
    await page.getByText('Your key may read, but not change anything.').waitFor();

    await view.role('button', 'Sign out').click();
    const key = await scene.createKey('dave', '1', '3600');
    const body = JSON.stringify({ name: 'The only one', steps: [{ id: 'a', tool: 'rfdiffusion' }] });
    await scene.ask(key, '/v1/workflows', { method: 'POST', body });
    await signIn(key);
    await view.role('button', 'Submit').click();
    await page.getByText(/Try again in \d+ min, at /).waitFor();
    await page.getByText('0/1 left').waitFor();
    await view.role('button', 'Sign out').click();
  });

  it('survives a gateway that cannot check keys, and an answer that makes no sense', async () => {
    const error = {
      code: 'UNAVAILABLE',
      message: 'the orchestrator is away',
      retryable: true,
      request_id: 'r',
      status: 503,
    };
    await page.route('**/v1/workflows?*', (route) =>
      route.fulfill({ status: 503, headers: { 'Retry-After': '2' }, json: error }),
    );
    await page.getByLabel('API key or token').fill(alice);
    await page.keyboard.press('Enter');
    await page.getByText(/^The orchestrator is away\. Try again in 2 s/).waitFor();
    await page.getByText('it could not be checked').waitFor();
    await page.unrouteAll();
    await signIn(alice);

    await page.route('**/v1/workflows?*', (route) => route.fulfill({ json: { workflows: [{ id: 'odd' }] } }));
    await view.open('/console/');
    await view.role('heading', 'This page has failed').waitFor();
    const told = view.faults.splice(0);
    assert.ok(
      told.length > 0 && told.every((fault) => fault.includes('TypeError')),
      `the browser has the cause: ${told}`,
    );
    await page.unrouteAll();
    await view.role('button', 'Try again').click();
    await page.locator('.listed-name').first().waitFor();
    await view.role('button', 'Sign out').click();
  });

  it('ends the session when the key is revoked', async () => {
    const key = await scene.createKey('carol');
    await signIn(key);
    await scene.revokeKeyOf('carol');
    await until('it is refused', async () => (await scene.request(key, '/v1/workflows')).status === 401);
    await page.reload();
    await page.getByText('The gateway no longer takes this key').waitFor();
    assert.deepEqual(await view.stored('sessionStorage'), []);
  });

  it('signs out, having told nobody the key', async () => {
    await signIn(alice);
    await view.role('button', 'Sign out').click();
    await view.role('heading', 'Sign in').waitFor();
    assert.deepEqual(await view.stored('sessionStorage'), []);
    for (const text of [...(await view.stored('localStorage')), ...view.urls, ...scene.proxy.requests]) {
      assert.ok(!scene.keys.some((key) => text.includes(key)), text);
    }
    assert.ok(view.urls.length > 50);
    const elsewhere = view.urls.filter(
      (url) => new URL(url).origin !== scene.proxy.url && !url.startsWith(`blob:${scene.proxy.url}`),
    );
    assert.deepEqual(elsewhere, []);
  });
});
