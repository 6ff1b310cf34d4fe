import assert from 'node:assert/strict';
import { it } from 'node:test';
import { GATEWAY_PREFIX, readGatewayConfig } from '../../../src/gateway/config.ts';
import { serverOptions } from '../../../src/gateway/listener/limits.ts';

const read = (settings: Readonly<Record<string, string>>) =>
  readGatewayConfig(
    Object.fromEntries(
      Object.entries({ BIND_ADDR: '127.0.0.1:0', ...settings }).map(([name, value]) => [GATEWAY_PREFIX + name, value]),
    ),
  );

it('the time for a head is part of the time for a request', () => {
  assert.throws(
    () => read({ HEADER_TIMEOUT_SECONDS: '61' }),
    /HEADER_TIMEOUT_SECONDS is longer than FOLDFORGE_GATEWAY__BODY_TIMEOUT_SECONDS/,
  );
  const { headersTimeout, requestTimeout } = serverOptions(read({ HEADER_TIMEOUT_SECONDS: '60' }));
  assert.deepEqual([headersTimeout, requestTimeout], [60_000, 60_000]);
});

it('Node enforces the times when they are up, and not up to 30 s later', () => {
  const { connectionsCheckingInterval, keepAliveTimeoutBuffer } = serverOptions(read({}));
  assert.ok(connectionsCheckingInterval <= 1_000);
  assert.ok(keepAliveTimeoutBuffer <= 1_000);
});

it('a client that keeps to what Keep-Alive says does not find its connection closed', () => {
  assert.ok(serverOptions(read({})).keepAliveTimeoutBuffer >= 500);
});
