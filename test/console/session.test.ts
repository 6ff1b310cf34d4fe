import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createSession } from '../../console/src/session.ts';
import { createMemoryStorage, openStorage } from '../../console/src/storage.ts';
import { createThemeSwitch } from '../../console/src/theme.ts';

describe('the session of the console', () => {
  it('is kept in the storage of the tab, and forgotten at its end', () => {
    const storage = createMemoryStorage();
    const session = createSession(storage);
    assert.deepEqual(session.state(), { token: undefined, notice: undefined });
    session.signIn('key');
    assert.equal(createSession(storage).state().token, 'key', 'the page was loaded anew');
    session.end('It was revoked.');
    assert.deepEqual(session.state(), { token: undefined, notice: 'It was revoked.' });
    assert.equal(createSession(storage).state().token, undefined);
    session.signIn('other');
    assert.equal(session.state().notice, undefined);
  });

  it('tells who listens', () => {
    const session = createSession(createMemoryStorage());
    const seen: (string | undefined)[] = [];
    const stop = session.subscribe(() => seen.push(session.state().token));
    session.signIn('a');
    session.end();
    stop();
    session.signIn('b');
    assert.deepEqual(seen, ['a', undefined]);
  });
});

describe('openStorage', () => {
  it('keeps things for as long as the page where the browser keeps nothing', () => {
    const storage = openStorage(() => {
      throw new DOMException('denied', 'SecurityError');
    });
    storage.setItem('a', '1');
    assert.equal(storage.getItem('a'), '1');
    storage.removeItem('a');
    assert.equal(storage.getItem('a'), null);
    const own = createMemoryStorage();
    assert.equal(
      openStorage(() => own),
      own,
    );
  });
});

describe('the theme switch', () => {
  function scene(stored?: string) {
    const storage = createMemoryStorage();
    if (stored) storage.setItem('foldforge-theme', stored);
    const root = { dataset: {} as { theme?: string } };
    const system = { isDark: false };
    const make = () => createThemeSwitch({ storage, root, prefersDark: () => system.isDark });
    return { storage, root, system, make };
  }

  it('follows the system until somebody chooses', () => {
    const { root, system, make } = scene();
    const theme = make();
    assert.equal(theme.current(), 'light');
    system.isDark = true;
    assert.equal(theme.current(), 'dark');
    assert.deepEqual(root.dataset, {});
  });

  it('keeps the other theme, and follows the system again when its own is chosen', () => {
    const { root, storage, make } = scene();
    const theme = make();
    assert.equal(theme.toggle(), 'dark');
    assert.deepEqual(root.dataset, { theme: 'dark' });
    assert.equal(make().current(), 'dark');
    assert.equal(theme.toggle(), 'light');
    assert.deepEqual(root.dataset, {});
    assert.equal(storage.getItem('foldforge-theme'), null);
  });

  it('takes nothing else from the storage', () => {
    const { root, make } = scene('pink');
    assert.equal(make().current(), 'light');
    assert.deepEqual(root.dataset, {});
  });
});
