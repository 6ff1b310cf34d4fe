import { hashKey, mintKeys } from '../support/api-keys.ts';
import { listProcessTree, readCpuMs, readPssBytes } from '../support/process-usage.ts';
import type { Round } from '../support/report.ts';
import type { Stage } from '../support/stage.ts';
import { assertStatus, CLIENTS, startSurroundings } from '../support/surroundings.ts';

const KEYS = 100;
const NOTHING = { requests: 0, wallMs: 0, cpuMs: 0, restMs: 0 };

/** By name, how many workers each gateway has. */
const GATEWAYS = { one: 1, two: 2 } as const;
type Name = keyof typeof GATEWAYS;

export interface WorkersEffort {
  readonly warmMs: number;
  /** Each gateway has so many turns of so long. */
  readonly turns: number;
  readonly turnMs: number;
  /** How long each answers requests that come at the fixed rate. */
  readonly pacedMs: number;
}

/** One round: both gateways are there all the time, and have their turns. */
export async function compareWorkers(stage: Stage, effort: WorkersEffort): Promise<Round> {
  const { warmMs, turns, turnMs, pacedMs } = effort;
  try {
    const { backendPort, askBackend, send, readCpuMs: readRestMs } = await startSurroundings(stage, 'both');
    const tokens = mintKeys(KEYS);
    await askBackend({ know: { keyHashes: tokens.map(hashKey), isLimited: false } });

    const gateways = [];
    for (const name of Object.keys(GATEWAYS) as Name[]) {
      gateways.push(await stage.turn(() => startGateway(stage, name, backendPort)));
    }
    const sendCrowd = async (port: number, forMs: number) => {
      const { crowd } = await send(port, { crowd: { tokens, clients: CLIENTS }, forMs });
      assertStatus(crowd, 200);
      return crowd;
    };

    for (const gateway of gateways) await stage.turn(() => sendCrowd(gateway.port, warmMs));
    const sums = { one: { ...NOTHING }, two: { ...NOTHING } };
    const readOthersCores = stage.watchOthers();
    for (let turn = 0; turn < turns; turn++) {
      for (const gateway of turn % 2 === 0 ? gateways : gateways.toReversed()) {
        await stage.turn(async () => {
          const sum = sums[gateway.name];
          const before = { cpuMs: gateway.readCpuMs(), restMs: readRestMs() };
          const { requests, perSecond } = await sendCrowd(gateway.port, turnMs);
          sum.cpuMs += gateway.readCpuMs() - before.cpuMs;
          sum.restMs += readRestMs() - before.restMs;
          sum.requests += requests;
          sum.wallMs += (requests * 1000) / perSecond;
        });
      }
    }
    const othersCores = readOthersCores();
    const rate = ({ requests, wallMs }: { requests: number; wallMs: number }) => (requests * 1000) / wallMs;
    const perSecond = Math.floor(rate(sums.one) / 2);
    const numbers: [Name, Record<string, number>][] = [];
    for (const gateway of gateways) {
      const paced = { callers: { tokens, perSecond }, forMs: pacedMs };
      const { callers } = await stage.turn(() => send(gateway.port, paced));
      assertStatus(callers, 200);
      const sum = sums[gateway.name];
      numbers.push([
        gateway.name,
        {
          perSecond: rate(sum),
          cpuUs: (sum.cpuMs * 1000) / sum.requests,
          restUs: (sum.restMs * 1000) / sum.requests,
          othersCores,
          fixedPerSecond: perSecond,
          p50Ms: callers.p50Ms,
          p99Ms: callers.p99Ms,
          idleMb: gateway.idleMb,
          busyMb: gateway.readMb(),
          processes: gateway.processes,
        },
      ]);
    }
    return Object.fromEntries(numbers);
  } finally {
    await stage.clear();
  }
}

async function startGateway(stage: Stage, name: Name, backendPort: number) {
  const program = stage.start('src/bin/gateway.ts', {
    place: 'both',
    nodeFlags: ['--max-semi-space-size=32'],
    env: {
      FOLDFORGE_GATEWAY__BIND_ADDR: '127.0.0.1:0',
      FOLDFORGE_GATEWAY__ORCHESTRATOR_ENDPOINT: `http://127.0.0.1:${backendPort}`,
      FOLDFORGE_GATEWAY__API_KEYS_ENABLED: 'true',
      FOLDFORGE_GATEWAY__WORKERS: String(GATEWAYS[name]),
    },
  });
  const port = await program.port();
  const pids = listProcessTree(program.pid);
  const readMb = () => readPssBytes(pids) / 1e6;
  return {
    name,
    port,
    processes: pids.length,
    idleMb: readMb(),
    readMb,
    readCpuMs: () => pids.reduce((sum, pid) => sum + readCpuMs(pid), 0),
  };
}
