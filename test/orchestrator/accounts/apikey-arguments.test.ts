import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readApikeyArguments } from '../../../src/orchestrator/accounts/apikey-arguments.ts';

const NOW = Date.parse('2027-02-28T12:00:00Z');

describe('the arguments of apikey', () => {
  const read = (...args: string[]) => readApikeyArguments(args, NOW);
  const expiry = (when: string) => {
    const command = read('create', 'alice', '--expires', when);
    assert.equal(command.verb, 'create');
    return command.verb === 'create' ? command.key.expiresAt?.toISOString() : undefined;
  };

  it('have defaults, and options anywhere', () => {
    const plain = { principal: 'alice', limit: 0n, windowSeconds: 3600n, expiresAt: null, readOnly: false };
    assert.deepEqual(read('create', 'alice'), { verb: 'create', key: plain });
    const full = {
      ...plain,
      limit: 5n,
      windowSeconds: 60n,
      readOnly: true,
      expiresAt: new Date(NOW + 90 * 86_400_000),
    };
    for (const args of [
      ['alice', '5', '60', '--expires', '90d', '--read-only'],
      ['--read-only', 'alice', '--expires=90d', '5', '60'],
    ]) {
      assert.deepEqual(read('create', ...args), { verb: 'create', key: full });
    }
    assert.deepEqual(read('list'), { verb: 'list' });
    assert.deepEqual(read('revoke', '01ab'), { verb: 'revoke', id: '01ab' });
  });

  it('say when a key expires in any of three ways', () => {
    const cases = {
      '30m': '2027-02-28T12:30:00.000Z',
      '12h': '2027-03-01T00:00:00.000Z',
      '1d': '2027-03-01T12:00:00.000Z',
      '2027-03-01': '2027-03-01T00:00:00.000Z',
      '2028-02-29': '2028-02-29T00:00:00.000Z',
      '2027-02-28T12:00:00.001Z': '2027-02-28T12:00:00.001Z',
      '2027-02-28t12:00:01z': '2027-02-28T12:00:01.000Z',
      '2027-02-28T12:00:00-01:30': '2027-02-28T13:30:00.000Z',
    };
    for (const [when, expected] of Object.entries(cases)) assert.equal(expiry(when), expected, when);
  });

  it('are refused for an expiry that is none', () => {
    const nonsense = ['', 'soon', '90', '1.5h', '1w', '2027-02-29', '2027-13-01', '2027-3-1', '28.02.2028', '123456d'];
    const times = ['2028-01-01T12:00', '2028-01-01T12:00:00', '2028-01-01T24:00:00Z', '2028-01-01 12:00:00Z'];
    for (const when of [...nonsense, ...times]) {
      assert.throws(
        () => expiry(when),
        { exitCode: 64, message: /^--expires is .* but must be a time such as / },
        when,
      );
    }
  });

  it('are refused for an expiry that is past', () => {
    for (const when of ['0d', '2027-02-28', '2027-02-28T12:00:00Z', '2027-02-28T13:00:00+01:00']) {
      assert.throws(() => expiry(when), { exitCode: 64, message: /must be in the future/ }, when);
    }
  });
});
