import type { Program } from '../support/program.ts';
import type { Stage } from '../support/stage.ts';

/** What a program needs to start. */
export interface Surroundings {
  readonly backendPort: number;
  /** The bundled gateway. */
  readonly bundledGateway: string;
}

/** One of the things that are started. */
export interface Form {
  readonly start: (stage: Stage, surroundings: Surroundings) => Program;
  /** Whether it serves workflows; else there is nothing to ask it for. */
  readonly serves: boolean;
}

/** A store need not be there at the start: it is only asked for downloads. */
const STORE_SETTINGS = {
  FOLDFORGE_GATEWAY__R2_ENDPOINT: 'http://127.0.0.1:9',
  FOLDFORGE_GATEWAY__R2_ACCESS_KEY_ID: 'bench-key',
  FOLDFORGE_GATEWAY__R2_SECRET_ACCESS_KEY: 'bench-secret',
};
// Like all programs of the benchmark it writes a line and stays until the benchmark goes.
const BARE_CODE = `process.on('disconnect', () => process.exit()); console.log('{"address":"127.0.0.1:0"}');`;

const PRODUCTION = { place: 'tested', nodeFlags: ['--max-semi-space-size=32'] } as const;

function gateway(choose: (surroundings: Surroundings) => string, settings: Readonly<Record<string, string>>): Form {
  return {
    serves: true,
    start(stage, surroundings) {
      const env = {
        FOLDFORGE_GATEWAY__BIND_ADDR: '127.0.0.1:0',
        FOLDFORGE_GATEWAY__ORCHESTRATOR_ENDPOINT: `http://127.0.0.1:${surroundings.backendPort}`,
        FOLDFORGE_GATEWAY__API_KEYS_ENABLED: 'true',
        ...settings,
      };
      return stage.start(choose(surroundings), { ...PRODUCTION, env });
    },
  };
}

const bundled = ({ bundledGateway }: Surroundings) => bundledGateway;
const sources = () => 'src/bin/gateway.ts';

/** The gateway, as it comes in the image and as it is developed; S3's client is only loaded where there is a store. */
export const GATEWAYS: Readonly<Record<string, Form>> = {
  bundle: gateway(bundled, {}),
  'bundle, S3': gateway(bundled, STORE_SETTINGS),
  sources: gateway(sources, {}),
  'sources, S3': gateway(sources, STORE_SETTINGS),
};

/** What else is started: the peer, and Node with nothing to run. */
export const PEERS: Readonly<Record<string, Form>> = {
  fastify: {
    serves: true,
    start: (stage, { backendPort }) =>
      stage.start('bench/peers/fastify.ts', { ...PRODUCTION, args: [`127.0.0.1:${backendPort}`] }),
  },
  node: {
    serves: false,
    start: (stage) => stage.start('--eval', { ...PRODUCTION, args: [BARE_CODE] }),
  },
};
