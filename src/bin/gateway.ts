import cluster from 'node:cluster';
import { type GatewayConfig, readGatewayConfig } from '../gateway/config.ts';
import type { Gateway, GatewayParts } from '../gateway/gateway.ts';
import { formatAddress } from '../shared/listen.ts';
import { createLog } from '../shared/log.ts';
import { readArguments, runProgram } from './program.ts';
import { runWorker } from './worker.ts';
import { startWorkers, type Workers } from './workers.ts';

const NAME = 'foldforge-gateway';

if (cluster.isWorker) await runWorker(NAME, serve);
else {
  await runProgram(NAME, async () => {
    const config = readGatewayConfig(process.env);
    readArguments(NAME, process.argv.slice(2));
    const log = createLog(NAME, config.LOG_LEVEL);
    const gateway: Gateway & Partial<Workers> =
      config.WORKERS === 1 ? await serve(config, { log }) : await startWorkers(config, log);
    const address = formatAddress({ host: config.BIND_ADDR.host, port: gateway.port });
    log.info({ address, orchestrator: config.ORCHESTRATOR_ENDPOINT, worker_pids: gateway.pids }, 'ready');
    return gateway;
  });
}

/** Loads the gateway only here: whoever starts workers does not serve, and saves 200 ms and 30 MB. */
async function serve(config: GatewayConfig, parts: Omit<GatewayParts, 'contract'>): Promise<Gateway> {
  const [{ startGateway }, { readContract }] = await Promise.all([
    import('../gateway/gateway.ts'),
    import('../gateway/contract.ts'),
  ]);
  const contract = readContract(new URL('../../openapi.yaml', import.meta.url));
  return startGateway(config, { ...parts, contract });
}
