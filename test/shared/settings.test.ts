import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as setting from '../../src/shared/settings.ts';
import { StartupError } from '../../src/shared/startup-error.ts';

const settings = {
  ADDRESS: setting.address('127.0.0.1:80', ''),
  COUNT: setting.number('5', '', { min: 1, max: 10 }),
  FLAG: setting.flag('false', ''),
  WAIT: setting.seconds('1.5', ''),
  TOKEN: setting.secret('', ''),
  TOKENS: setting.secretList('a,b', ''),
  SECRETS: setting.secretList('', '', { optional: true, minLength: 4 }),
  URL: setting.httpUrl('http://x/', ''),
  LEVEL: setting.choice(['low', 'high'], 'low', ''),
  ORIGINS: setting.originList(''),
};
const read = (environment: Record<string, string>) =>
  setting.readSettings(
    'T__',
    settings,
    Object.fromEntries(Object.entries(environment).map(([name, value]) => [`T__${name}`, value])),
  );

describe('settings', () => {
  it('have defaults', () => {
    assert.deepEqual(read({}), {
      ADDRESS: { host: '127.0.0.1', port: 80 },
      COUNT: 5,
      FLAG: false,
      WAIT: 1500,
      TOKEN: '',
      TOKENS: ['a', 'b'],
      SECRETS: [],
      URL: 'http://x',
      LEVEL: 'low',
      ORIGINS: [],
    });
  });

  it('take what is written, and leave other prefixes alone', () => {
    const values = setting.readSettings('T__', settings, {
      T__ADDRESS: '[::1]:0',
      T__COUNT: ' 10 ',
      T__FLAG: '1',
      OTHER__COUNT: 'x',
    });
    assert.deepEqual([values.ADDRESS, values.COUNT, values.FLAG], [{ host: '::1', port: 0 }, 10, true]);
  });

  it('name what is wrong, all of it in one line, with exit code 78', () => {
    const cases: [environment: Record<string, string>, message: RegExp][] = [
      [{ COUNT: '11' }, /^T__COUNT is "11", but must be a whole number from 1 to 10$/],
      [{ COUNT: '1.5' }, /whole number/],
      [{ COUNT: '' }, /T__COUNT/],
      [{ FLAG: 'yes' }, /^T__FLAG is "yes", but must be true or false$/],
      [{ WAIT: '-1' }, /T__WAIT/],
      [{ ADDRESS: '8080' }, /must be host:port/],
      [{ ADDRESS: 'x:65536' }, /must be host:port/],
      [{ URL: 'ftp://x' }, /must be an http/],
      [{ URL: 'http://user:secret@x' }, /^T__URL must be an http:\/\/ or https:\/\/ URL without user/],
      [{ LEVEL: 'mid' }, /one of: low, high/],
      [{ ORIGINS: 'https://a.test/' }, /T__ORIGINS has "https:\/\/a.test\/", which is no origin such as/],
      [{ ORIGINS: 'https://a.test, *' }, /has "\*"/],
      [{ ORIGINS: 'https://A.test' }, /has "https:\/\/A.test"/],
      [{ ORIGINS: 'https://a.test:443' }, /is no origin/],
      [{ ORIGINS: 'https://a.test,' }, /has ""/],
      [{ ORIGINS: 'null' }, /has "null"/],
      [{ ORIGINS: 'ws://a.test' }, /is no origin/],
      [{ ORIGINS: 'https://a.test,https://a.test' }, /an origin twice/],
      [{ COUNTS: '1' }, /^T__COUNTS is not a setting \(did you mean T__COUNT\?\)$/],
      [{ NONSENSE: '1' }, /^T__NONSENSE is not a setting$/],
      [{ COUNT_FILE: '/x' }, /T__COUNT_FILE is not a setting/],
      [{ TOKEN: 'canary', TOKEN_FILE: '/x' }, /^T__TOKEN_FILE and T__TOKEN are both set$/],
      [{ TOKEN_FILE: '/no/such/file' }, /cannot be read \(ENOENT\)/],
      [{ SECRETS: 'long,sho' }, /^T__SECRETS has an entry of fewer than 4 characters$/],
      [{ SECRETS: 'long,' }, /^T__SECRETS has an empty entry/],
      [{ COUNT: 'a\nb', FLAG: 'x' }, /T__COUNT .*T__FLAG/],
    ];
    for (const [environment, message] of cases) {
      assert.throws(
        () => read(environment),
        (error: StartupError) => {
          assert.ok(error instanceof StartupError);
          assert.match(error.message, message);
          assert.doesNotMatch(error.message, /\n|canary|secret@/);
          assert.equal(error.exitCode, 78);
          return true;
        },
      );
    }
  });
});
