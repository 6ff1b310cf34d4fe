import cluster from 'node:cluster';
import { GATEWAY_PREFIX, type GatewayConfig, gatewaySettings, readGatewayConfig } from '../gateway/config.ts';
import type { Gateway, GatewayParts } from '../gateway/gateway.ts';
import { formatAddress } from '../shared/listen.ts';
import { createLog } from '../shared/log.ts';
import { settingsForLog, showSettings } from '../shared/shown-settings.ts';
import { createTracing } from '../shared/tracing.ts';
import { readTracingConfig } from '../shared/tracing-config.ts';
import { readArguments, runProgram } from './program.ts';
import { runWorker } from './worker.ts';
import { startWorkers, type Workers } from './workers.ts';

const NAME = 'foldforge-gateway';

if (cluster.isWorker) await runWorker(NAME, serve);
else {
  await runProgram(NAME, async () => {
    const config = readGatewayConfig(process.env);
    // Each process that serves has traces of its own; here it is seen whether they can be had.
    readTracingConfig(process.env, NAME);
    const shown = showSettings(GATEWAY_PREFIX, gatewaySettings, process.env);
    readArguments(NAME, process.argv.slice(2), shown);
    const log = createLog(NAME, config.LOG_LEVEL);
    log.info({ settings: settingsForLog(shown) }, 'settings');
    const gateway: Gateway & Partial<Workers> =
      config.WORKERS === 1 ? await serve(config, { log }) : await startWorkers(config, log);
    const address = formatAddress({ host: config.BIND_ADDR.host, port: gateway.port });
    log.info({ address, orchestrator: config.ORCHESTRATOR_ENDPOINT, worker_pids: gateway.pids }, 'ready');
    return gateway;
  });
}

/** Loads the gateway only here: whoever starts workers does not serve, and saves 200 ms and 30 MB. */
async function serve(config: GatewayConfig, parts: Omit<GatewayParts, 'contract'>): Promise<Gateway> {
  const [{ startGateway }, { readContract }, { openPages }] = await Promise.all([
    import('../gateway/gateway.ts'),
    import('../gateway/contract.ts'),
    import('./pages.ts'),
  ]);
  const contract = readContract(new URL('../../openapi.yaml', import.meta.url));
  const tracing = await createTracing(readTracingConfig(process.env, NAME), parts.log);
  return startGateway(config, { ...parts, contract, pages: openPages(config, parts.log), tracing });
}
