import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as setting from '../../src/shared/settings.ts';
import { settingsAsLines, settingsForLog, showSettings } from '../../src/shared/shown-settings.ts';

const settings = {
  COUNT: setting.number('5', '', { min: 1, max: 10 }),
  URL: setting.httpUrl('', '', { optional: true }),
  TOKEN: setting.secret('well-known', ''),
  KEY: setting.secret('', ''),
  OTHER_KEY: setting.secret('', ''),
};

describe('settings that are shown', () => {
  const shown = showSettings('T__', settings, {
    T__URL: ' http://x ',
    T__KEY: 'hidden',
    T__OTHER_KEY_FILE: '/run/key',
  });

  it('are all of them, without what is secret', () => {
    assert.deepEqual(settingsForLog(shown), {
      T__COUNT: '5',
      T__URL: 'http://x',
      T__TOKEN: 'well-known',
      T__KEY: '[secret]',
      T__OTHER_KEY: '[secret, from /run/key]',
    });
  });

  it('are lines of an environment file, those with their default commented out', () => {
    const lines = [
      '#T__COUNT=5',
      'T__URL=http://x',
      '#T__TOKEN=well-known',
      'T__KEY=[secret]',
      'T__OTHER_KEY=[secret, from /run/key]',
    ];
    assert.equal(settingsAsLines(shown), lines.map((line) => `${line}\n`).join(''));
  });

  it('say that a secret is empty', () => {
    assert.equal(settingsForLog(showSettings('T__', settings, { T__TOKEN: '' })).T__TOKEN, '');
  });
});
