import { GATEWAY_PREFIX, type GatewayConfig } from '../gateway/config.ts';
import { type Pages, readPages } from '../gateway/pages.ts';
import type { Log } from '../shared/log.ts';
import { EX_CONFIG, StartupError } from '../shared/startup-error.ts';

const HOW = 'run npm run build:pages';

/**
 * The pages that were built, beside the sources or in the image. Without them the API is whole, so a gateway that was not
 * asked for its console starts, and says so. Throws a StartupError when it was.
 */
export function openPages({ CONSOLE_ENABLED }: Pick<GatewayConfig, 'CONSOLE_ENABLED'>, log: Log): Pages | undefined {
  const pages = readPages(new URL('../../dist/pages/', import.meta.url));
  if (pages) return pages;
  if (CONSOLE_ENABLED) {
    throw new StartupError(`${GATEWAY_PREFIX}CONSOLE_ENABLED is true, but no pages were built: ${HOW}`, EX_CONFIG);
  }
  log.info(`no pages were built, so /docs answers 404: ${HOW}`);
  return undefined;
}
