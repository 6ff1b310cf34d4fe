import assert from 'node:assert/strict';
import { isIPv6 } from 'node:net';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createClientAddress, networkOf, plainAddress } from '../../../src/gateway/wire/client-address.ts';

const { read, isTrusted } = createClientAddress(['10.0.0.0/8', 'fd00::/8', '192.0.2.7/32']);
const from = (remoteAddress: string | undefined, headers: Record<string, string> = {}) =>
  read({ socket: { remoteAddress }, headers });

describe('the address of a client', () => {
  const cases: readonly [label: string, peer: string, headers: Record<string, string>, client: string][] = [
    ['is the peer', '203.0.113.9', {}, '203.0.113.9'],
    ['is the peer, whatever it says of others', '203.0.113.9', { 'x-forwarded-for': '1.2.3.4' }, '203.0.113.9'],
    ['is the proxy that says nothing', '10.0.0.1', {}, '10.0.0.1'],
    ['is what a proxy says', '10.0.0.1', { 'x-forwarded-for': '1.2.3.4' }, '1.2.3.4'],
    ['is what a proxy on an IPv6 socket says', '::ffff:10.0.0.1', { 'x-forwarded-for': '1.2.3.4' }, '1.2.3.4'],
    ['is not what a client said to the proxy', '10.0.0.1', { 'x-forwarded-for': '8.8.8.8, 1.2.3.4' }, '1.2.3.4'],
    ['is before all proxies', '10.0.0.1', { 'x-forwarded-for': '9.9.9.9, 1.2.3.4,10.9.9.9, 192.0.2.7' }, '1.2.3.4'],
    ['is the first of proxies alone', '10.0.0.1', { 'x-forwarded-for': '10.1.1.1, 10.2.2.2' }, '10.1.1.1'],
    ['ends at what is no address', '10.0.0.1', { 'x-forwarded-for': '1.2.3.4, x, 10.2.2.2' }, '10.2.2.2'],
    ['ends at an empty one', '10.0.0.1', { 'x-forwarded-for': '1.2.3.4, ' }, '10.0.0.1'],
    ['has no port', '10.0.0.1', { 'x-forwarded-for': '1.2.3.4:5678' }, '1.2.3.4'],
    ['has no brackets', '10.0.0.1', { 'x-forwarded-for': '[2001:DB8:0::1]:80' }, '2001:db8::1'],
    ['has one form', '10.0.0.1', { 'x-forwarded-for': '::FFFF:1.2.3.4' }, '1.2.3.4'],
    ['has no zone', 'fe80::1%eth0', {}, 'fe80::1'],
    ['may be in Forwarded', 'fd00::1', { forwarded: 'by=x;For="[2001:db8::1]:4711";proto=https' }, '2001:db8::1'],
    ['is the last there, too', '10.0.0.1', { forwarded: 'for=8.8.8.8, for=1.2.3.4;by=10.0.0.1' }, '1.2.3.4'],
    ['is behind a quote that a client left open', '10.0.0.1', { forwarded: 'for=", for=1.2.3.4' }, '1.2.3.4'],
    ['is behind a comma in quotes', '10.0.0.1', { forwarded: 'for=1.2.3.4;host="a,for=8.8.8.8"' }, '1.2.3.4'],
    ['ends at a hidden one', '10.0.0.1', { forwarded: 'for=1.2.3.4, for=_hidden, for=10.3.3.3' }, '10.3.3.3'],
    ['ends where nobody is named', '10.0.0.1', { forwarded: 'for=1.2.3.4, proto=http' }, '10.0.0.1'],
    ['has X-Forwarded-For first', '10.0.0.1', { forwarded: 'for=8.8.8.8', 'x-forwarded-for': '1.2.3.4' }, '1.2.3.4'],
  ];
  for (const [label, peer, headers, client] of cases) it(label, () => assert.equal(from(peer, headers), client));

  it('is unknown of who has left', () => {
    assert.equal(from(undefined), 'unknown');
    assert.equal(read({ socket: null, headers: {} }), 'unknown');
  });

  it('is believed of nobody when no proxy is trusted', () => {
    const { read: readAlone, isTrusted: isTrustedAlone } = createClientAddress([]);
    const headers = { 'x-forwarded-for': '1.2.3.4', forwarded: 'for=1.2.3.4' };
    assert.equal(readAlone({ socket: { remoteAddress: '10.0.0.1' }, headers }), '10.0.0.1');
    assert.equal(isTrustedAlone('10.0.0.1'), false);
  });

  const junk = fc.constantFrom('', 'x', 'unknown', '_a', '1.2.3', '256.1.1.1', '1.2.3.4.5', 'a"b', ':::1', '[::1', '%');
  const address = fc.oneof(
    fc.ipV4(),
    fc.ipV4().map((ip) => ip.replace(/^\d+/, '10')),
    fc.ipV6(),
  );
  const inFull = (ip: string) =>
    isIPv6(ip) ? new URL(`http://[${ip}]`).hostname.slice(1, -1).replace(/^::ffff:.*/, ip) : ip;

  it('is what an obvious reading of a list finds', () => {
    // Addresses that IPv6 only wraps have a test of their own.
    const plain = address.filter((ip) => !/^(::|0+:)/.test(ip));
    fc.assert(
      fc.property(fc.array(fc.oneof(plain, junk), { maxLength: 6 }), fc.boolean(), (list, isForwarded) => {
        let expected = '10.0.0.1';
        for (const entry of [...list].reverse()) {
          if (!isTrusted(expected) || !isAddress(entry)) break;
          expected = inFull(entry);
        }
        const write = (entry: string) => (entry.includes(':') ? `for="[${entry}]"` : `for=${entry}`);
        const headers: Record<string, string> = isForwarded
          ? { forwarded: list.map(write).join(', ') }
          : { 'x-forwarded-for': list.join(', ') };
        // An odd quote may hide what is left of it, which is what it may do.
        if (!list.some((entry) => entry.includes('"'))) assert.equal(from('10.0.0.1', headers), expected);
        else assert.ok(from('10.0.0.1', headers));
      }),
    );
  });
});

it('costs no more when somebody else writes it', () => {
  const texts = ['for= ', 'for="', ';', '; ', ',', '"', 'for=1.2.3.4 '].map((text) =>
    text.padEnd(60_000, text.slice(-1)),
  );
  const begunMs = performance.now();
  for (const text of texts) {
    from('10.0.0.1', { forwarded: `${text}"` });
    from('10.0.0.1', { 'x-forwarded-for': text });
  }
  assert.ok(performance.now() - begunMs < 1_000);
});

const isAddress = (text: string) => (/^(\d{1,3}\.){3}\d{1,3}$/.test(text) ? text !== '256.1.1.1' : isIPv6(text));

describe('what limits are counted by', () => {
  it('is the address that a socket names, as an IPv4 one where it is one', () => {
    assert.equal(plainAddress('::ffff:192.0.2.1'), '192.0.2.1');
    assert.equal(plainAddress('fe80::1%eth0'), 'fe80::1');
    // Not mapped, however it looks.
    for (const address of ['2001:db8::ffff:1:2', '::ffff:1', '192.0.2.1']) assert.equal(plainAddress(address), address);
  });

  it('is an IPv4 address, or 64 bits of an IPv6 one, however it is written', () => {
    assert.equal(networkOf('192.0.2.1'), '192.0.2.1');
    assert.equal(networkOf('2001:db8::1'), networkOf('2001:db8:0:0:ffff::2'));
    assert.notEqual(networkOf('2001:db8::1'), networkOf('2001:db8:0:1::1'));
    assert.equal(networkOf('::1'), '0:0:0:0::/64');
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 0xffff }), { minLength: 8, maxLength: 8 }), (groups) => {
        const text = groups.map((group) => group.toString(16));
        assert.equal(networkOf(text.join(':')), `${text.slice(0, 4).join(':')}::/64`);
        const short = new URL(`http://[${text.slice(0, 2).join(':')}:0:0:0:0:${text.slice(6).join(':')}]`);
        assert.equal(networkOf(short.hostname.slice(1, -1)), `${text.slice(0, 2).join(':')}:0:0::/64`);
      }),
    );
  });
});
