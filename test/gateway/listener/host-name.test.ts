import assert from 'node:assert/strict';
import { isIPv4 } from 'node:net';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { readHostName } from '../../../src/gateway/listener/host-name.ts';

describe('the name in a Host header', () => {
  const good: Readonly<Record<string, string>> = {
    'api.example.org': 'api.example.org',
    'API.Example.ORG:8080': 'api.example.org',
    localhost: 'localhost',
    'my_service.default.svc.cluster.local.': 'my_service.default.svc.cluster.local.',
    'xn--bcher-kva.example': 'xn--bcher-kva.example',
    '127.0.0.1:80': '127.0.0.1',
    '[::1]:8080': '[::1]',
    '[2001:DB8::1]': '[2001:db8::1]',
  };
  for (const [host, name] of Object.entries(good)) it(host, () => assert.equal(readHostName(host), name));

  const bad = [
    '',
    ':80',
    'user@host',
    'user:secret@host',
    'host/path',
    'host?query',
    'host#fragment',
    'host\\path',
    'a b',
    'a,b',
    'a%2eb',
    'host:',
    'host:0',
    'host:65536',
    'host:123456',
    'host:8a',
    'host:80:80',
    '-host',
    '.host',
    '::1',
    '[::1',
    '[::1]x',
    '[::1%25eth0]',
    '[1.2.3.4]',
    '[0:0:0:0:0:0:0:1]',
    '1.2.3',
    '0x7f.1',
    '1.2.3.256',
    '127.0.0.01',
    'bücher.example',
    `${'a'.repeat(254)}`,
    'http://host',
  ];
  for (const host of bad)
    it(`is not in ${JSON.stringify(host.slice(0, 40))}`, () => assert.equal(readHostName(host), undefined));

  it('is one that a URL has as it stands, and nothing else is', () => {
    const part = fc.constantFrom(
      'a',
      'B',
      '7',
      '.',
      '-',
      '_',
      ':',
      '80',
      '@',
      '/',
      '[',
      ']',
      '::1',
      'xn--',
      '0x',
      ' ',
      '%41',
      '\\',
      '~',
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
        const host = parts.join('');
        assert.equal(readHostName(host), modelOf(host), JSON.stringify(host));
      }),
      { numRuns: 2_000 },
    );
  });
});

/** Slow and obvious: what is written like a host, and is to a URL what it is here. */
function modelOf(host: string): string | undefined {
  const port = /:([0-9]{1,5})$/.exec(host)?.[1];
  const name = (port === undefined ? host : host.slice(0, -port.length - 1)).toLowerCase();
  if (port !== undefined && !(Number(port) >= 1 && Number(port) <= 65_535)) return undefined;
  if (name === '' || !URL.canParse(`http://${name}`)) return undefined;
  const isWritten = name.startsWith('[') || isIPv4(name) || /^[a-z0-9_][a-z0-9._-]*$/.test(name);
  return isWritten && new URL(`http://${name}`).host === name ? name : undefined;
}
