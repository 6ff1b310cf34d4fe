import { readGatewayConfig } from '../gateway/config.ts';
import { readContract } from '../gateway/contract.ts';
import { startGateway } from '../gateway/gateway.ts';
import { formatAddress } from '../shared/listen.ts';
import { createLog } from '../shared/log.ts';
import { readArguments, runProgram } from './program.ts';

const NAME = 'foldforge-gateway';

await runProgram(NAME, async () => {
  const config = readGatewayConfig(process.env);
  readArguments(NAME, process.argv.slice(2));
  const log = createLog(NAME, config.LOG_LEVEL);
  const contract = readContract(new URL('../../openapi.yaml', import.meta.url));
  const gateway = await startGateway(config, { log, contract });
  const address = formatAddress({ host: config.BIND_ADDR.host, port: gateway.port });
  log.info({ address, orchestrator: config.ORCHESTRATOR_ENDPOINT }, 'ready');
  return gateway;
});
