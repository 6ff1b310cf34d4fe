import { runApikeyCommand } from '../orchestrator/accounts/apikey-command.ts';
import { runArtifactsCommand } from '../orchestrator/artifacts-command.ts';
import {
  checkTlsFiles,
  ORCHESTRATOR_PREFIX,
  type OrchestratorConfig,
  orchestratorSettings,
  readOrchestratorConfig,
  requireBackends,
} from '../orchestrator/config.ts';
import { startOrchestrator } from '../orchestrator/orchestrator.ts';
import { formatAddress } from '../shared/listen.ts';
import { createLog, type Log } from '../shared/log.ts';
import { settingsForLog, showSettings } from '../shared/shown-settings.ts';
import { EX_CONFIG, StartupError } from '../shared/startup-error.ts';
import { createTracing } from '../shared/tracing.ts';
import { readTracingConfig } from '../shared/tracing-config.ts';
import { findDatabaseUrl, readDataDir } from './data-dir.ts';
import { exitWith, readArguments, runProgram } from './program.ts';

const NAME = 'foldforge-orchestrator';
/** Supervisors send SIGKILL 10 s after SIGTERM. */
const CLOSE_DEADLINE_MS = 9_000;

const [subcommand, ...rest] = process.argv.slice(2);
if (subcommand === 'apikey') await runCommand((found) => runApikeyCommand(rest, found));
else if (subcommand === 'artifacts') await runCommand((found) => runArtifactsCommand(rest, found));
else await serve();

async function serve(): Promise<void> {
  await runProgram(NAME, async () => {
    const config = readOrchestratorConfig(process.env);
    requireBackends(config);
    checkTlsFiles(config);
    const traces = readTracingConfig(process.env, NAME);
    const shown = showSettings(ORCHESTRATOR_PREFIX, orchestratorSettings, process.env);
    readArguments(NAME, process.argv.slice(2), shown);
    const log = createLog(NAME, config.logLevel);
    log.info({ settings: settingsForLog(shown) }, 'settings');
    // Whoever has taken our place runs our steps already: nothing here may be finished any more.
    const onReplaced = () => exitWith(NAME, new StartupError('another orchestrator has taken the place of this one'));
    const tracing = await createTracing(traces, log);
    const orchestrator = await startOrchestrator(config, { log, tracing, onReplaced });
    const address = formatAddress({ host: config.bindAddr.host, port: orchestrator.port });
    const metrics = formatAddress({ host: config.metricsAddr.host, port: orchestrator.metricsPort });
    log.info({ address, metrics, executor_id: config.executorId }, 'ready');
    return { close: () => closeInTime(orchestrator.close, log) };
  });
}

async function closeInTime(close: () => Promise<void>, log: Log): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(() => {
    log.error({ ms: CLOSE_DEADLINE_MS }, 'closing took too long and was cut short');
    resolve();
  }, CLOSE_DEADLINE_MS);
  await Promise.race([close(), late]);
  clearTimeout(timer);
}

/** Runs a command on the database that the environment names, or that an `npm start` has embedded. */
async function runCommand(
  command: (
    found: Pick<OrchestratorConfig, 'databaseUrl' | 'objectStore'> & { print: (line: string) => void },
  ) => Promise<void>,
): Promise<void> {
  try {
    const dataDir = readDataDir(process.env);
    const config = readOrchestratorConfig(process.env);
    const databaseUrl = config.databaseUrl || findDatabaseUrl(dataDir);
    if (!databaseUrl) {
      const message = `${ORCHESTRATOR_PREFIX}DATABASE_URL is not set, and no npm start is running on ${dataDir}`;
      throw new StartupError(message, EX_CONFIG);
    }
    const { objectStore } = config;
    await command({ databaseUrl, objectStore, print: (line) => process.stdout.write(`${line}\n`) });
  } catch (error) {
    exitWith(NAME, error);
  }
}
