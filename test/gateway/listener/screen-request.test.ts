import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createScreenRequest, type ScreenedRequest } from '../../../src/gateway/listener/screen-request.ts';

const LIMITS = { allowedHosts: [], urlBytes: 300, headerCount: 12 };

/** A request with these fields, as Node gives it: the first Host counts. */
function request(target: string, fields: readonly [name: string, value: string][], version = '1.1'): ScreenedRequest {
  const headers: Record<string, string> = {};
  for (const [name, value] of fields) headers[name.toLowerCase()] ??= value;
  const [major, minor] = version.split('.').map(Number);
  const rawHeaders = fields.flat();
  return { httpVersionMajor: major!, httpVersionMinor: minor!, method: 'GET', url: target, headers, rawHeaders };
}

const HOST: [string, string] = ['Host', 'api.example.org'];

describe('what is looked at before the app', () => {
  const screen = createScreenRequest(LIMITS);
  const many = Array.from({ length: 12 }, (_, index): [string, string] => [`x-${index}`, 'y']);
  const cases: readonly [label: string, request: ScreenedRequest, code: string | undefined][] = [
    ['a plain request', request('/v1/workflows?page_size=1', [HOST]), undefined],
    ['HTTP/1.0 without a Host', request('/', [], '1.0'), undefined],
    ['HTTP/1.0 with a bad Host', request('/', [['Host', 'a/b']], '1.0'), 'INVALID_ARGUMENT'],
    ['HTTP/2 on a connection of HTTP/1.1', request('/', [HOST], '2.0'), 'INVALID_ARGUMENT'],
    ['HTTP/2', { ...request('/', [], '2.0'), headers: { ':method': 'GET', host: 'api.example.org' } }, undefined],
    [
      'HTTP/2 with a bad host',
      { ...request('/', [], '2.0'), headers: { ':method': 'GET', host: 'a/b' } },
      'INVALID_ARGUMENT',
    ],
    ['no Host', request('/', []), 'INVALID_ARGUMENT'],
    ['two Hosts', request('/', [HOST, ['hOST', 'other.example.org']]), 'INVALID_ARGUMENT'],
    ['one Host twice', request('/', [HOST, HOST]), 'INVALID_ARGUMENT'],
    ['a whole URL', request('http://api.example.org/', [HOST]), 'INVALID_ARGUMENT'],
    ['an asterisk', request('*', [HOST]), 'INVALID_ARGUMENT'],
    ['a fragment', request('/a#b', [HOST]), 'INVALID_ARGUMENT'],
    ['the longest target', request(`/${'a'.repeat(299)}`, [HOST]), undefined],
    ['a longer one', request(`/${'a'.repeat(300)}`, [HOST]), 'URI_TOO_LONG'],
    ['the most fields', request('/', [HOST, ...many.slice(1)]), undefined],
    ['one more', request('/', [HOST, ...many]), 'HEADERS_TOO_LARGE'],
    ['chunked', request('/', [HOST, ['Transfer-Encoding', 'Chunked']]), undefined],
    ['chunked in HTTP/1.0', request('/', [HOST, ['Transfer-Encoding', 'chunked']], '1.0'), 'INVALID_ARGUMENT'],
    ['compressed chunks', request('/', [HOST, ['Transfer-Encoding', 'gzip, chunked']]), 'INVALID_ARGUMENT'],
    ['HTTP/0.9', request('/', [HOST], '0.9'), 'INVALID_ARGUMENT'],
    [
      'an upgrade',
      request('/', [HOST, ['Connection', 'Upgrade, HTTP2-Settings'], ['Upgrade', 'h2c']]),
      'INVALID_ARGUMENT',
    ],
    ['an Upgrade header that asks for nothing', request('/', [HOST, ['Upgrade', 'h2c']]), undefined],
    ['100-continue', request('/', [HOST, ['Expect', '100-Continue']]), undefined],
    ['another expectation', request('/', [HOST, ['Expect', 'x, 100-continue']]), 'EXPECTATION_FAILED'],
    ['another expectation in HTTP/1.0', request('/', [HOST, ['Expect', 'x']], '1.0'), undefined],
  ];
  for (const [label, given, code] of cases) it(label, () => assert.equal(screen(given)?.code, code));

  it('only knows the hosts that it serves, but for those who go by address', () => {
    const screenHosts = createScreenRequest({ ...LIMITS, allowedHosts: ['api.example.org', '[::1]'] });
    const codeOf = (host: string, target = '/v1/workflows') => screenHosts(request(target, [['Host', host]]))?.code;
    for (const _again of [1, 2]) {
      assert.equal(codeOf('API.example.org:8443'), undefined);
      assert.equal(codeOf('[::1]:8080'), undefined);
      assert.equal(codeOf('other.example.org'), 'MISDIRECTED_REQUEST');
      for (const probe of ['/v1/healthz', '/v1/readyz?x', '/metrics'])
        assert.equal(codeOf('10.0.0.7', probe), undefined);
      assert.equal(codeOf('10.0.0.7', '/v1/healthz/x'), 'MISDIRECTED_REQUEST');
      assert.equal(codeOf('10.0.0.7'), 'MISDIRECTED_REQUEST');
      assert.equal(codeOf('a@b', '/v1/healthz'), 'INVALID_ARGUMENT');
    }
    // Who may leave out the Host does not get around it.
    assert.equal(screenHosts(request('/v1/workflows', [], '1.0'))?.code, 'MISDIRECTED_REQUEST');
    assert.equal(screenHosts(request('/v1/healthz', [], '1.0')), undefined);
  });

  it('still knows a host after more than it remembers', () => {
    const codes = Array.from(
      { length: 3_000 },
      (_, index) => screen(request('/', [['Host', `h${index % 1_500}`]]))?.code,
    );
    assert.deepEqual(new Set(codes), new Set([undefined]));
  });
});
