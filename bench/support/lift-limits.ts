import { readFileSync } from 'node:fs';
import path from 'node:path';
import { GATEWAY_PREFIX } from '../../src/gateway/config.ts';

/** What keeps one client, or one address, from taking all of a gateway. */
const LIMITS: Readonly<Record<string, string>> = {
  CONNECTION_MAX_REQUESTS: '1000000000',
  CONNECTIONS_MAX: '1000000',
  CONNECTIONS_MAX_PER_ADDRESS: '1000000',
  IN_FLIGHT_MIN: '100000',
  IN_FLIGHT_MAX: '100000',
  PRINCIPAL_MAX_IN_FLIGHT: '100000',
  PRINCIPAL_REQUESTS_PER_SECOND: '0',
  AUTH_MAX_LOOKUPS: '10000',
  AUTH_FAILURES_PER_MINUTE: '0',
  OBJECT_STORE_MAX_TRANSFERS: '100000',
};

/** The environment in which the gateway of a checkout has none of these limits: an older one does not know them all. */
export function liftLimits(productRoot: string): Record<string, string> {
  const config = readFileSync(path.join(productRoot, 'src/gateway/config.ts'), 'utf8');
  const known = Object.entries(LIMITS).filter(([name]) => config.includes(`  ${name}: setting.`));
  return Object.fromEntries(known.map(([name, value]) => [GATEWAY_PREFIX + name, value]));
}
