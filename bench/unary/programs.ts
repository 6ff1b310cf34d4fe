import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { findDebianProgram } from '../../test/support/debian.ts';
import type { ConstantAnswers } from '../peers/node-http.ts';
import { hashKey, mintKeys } from '../support/api-keys.ts';
import type { BackendAnswer, BackendMessage } from '../support/backend.ts';
import type { Program } from '../support/program.ts';
import type { RequestsAnswer, RequestsMessage } from '../support/requests.ts';
import type { Stage } from '../support/stage.ts';
import { untilListens } from '../support/until-listens.ts';
import { type Case, createCases, WORKFLOWS } from './cases.ts';
import { assertSameWork, observeWork, type Work } from './same-work.ts';

const GATEWAY = 'src/bin/gateway.ts';
/** Production's. */
const NODE_FLAGS = ['--max-semi-space-size=32'];
/** Longer than any run: how long a key is remembered is not what is measured. */
const CACHE_TTL_SECONDS = 3_600;
const KEYS = 64;
const BOUND_MS = 120_000;

/** A program that is measured. */
export interface Subject {
  readonly program: Program;
  readonly port: number;
}

export type Scene = Awaited<ReturnType<typeof openScene>>;

export interface SceneOptions {
  /** Without peers. */
  readonly alone: boolean;
  /** Of the scene, and empty. */
  readonly folder: string;
  /** The gateway once more over each of these. */
  readonly transports?: readonly string[];
}

/** Starts everything anew, and holds what the programs do against what the gateway does. */
export async function openScene(stage: Stage, { alone, folder, transports = [] }: SceneOptions) {
  const backend = stage.start('bench/support/backend.ts', { place: 'rest' });
  const load = stage.start('bench/support/requests.ts', { place: 'rest' });
  const askBackend = (message: BackendMessage) => backend.ask<BackendAnswer>(message, BOUND_MS);
  const endpoint = `127.0.0.1:${await backend.port()}`;
  const cases = createCases(await askBackend({ hold: WORKFLOWS }));
  const [keys, keysWithQuota] = [mintKeys(KEYS), mintKeys(KEYS)];
  await askBackend({ know: { keyHashes: keys.map(hashKey), isLimited: false } });
  await askBackend({ know: { keyHashes: keysWithQuota.map(hashKey), isLimited: true } });
  const tokensFor = ({ isLimited }: Case) => (isLimited ? keysWithQuota : keys);

  const subjects: Record<string, Subject> = {};
  const add = async (name: string, program: Program) => {
    subjects[name] = { program, port: await program.port() };
  };
  await add('gateway', startGateway(stage, endpoint));
  for (const transport of transports) {
    await add(transport, startGateway(stage, endpoint, { FOLDFORGE_GATEWAY__ORCHESTRATOR_TRANSPORT: transport }));
  }
  if (!alone) {
    const peer = { place: 'tested', nodeFlags: NODE_FLAGS, args: [endpoint] } as const;
    await add('fastify', stage.start('bench/peers/fastify.ts', peer));
    await add('naive-hono', stage.start('bench/peers/naive-hono.ts', peer));
  }
  const bodies: Partial<Record<Case['name'], string>> = {};
  for (const each of cases) {
    let ours: Work | undefined;
    for (const [name, { port }] of Object.entries(subjects)) {
      const work = await observeWork(name, port, tokensFor(each)[0]!, each, askBackend);
      if (ours) assertSameWork(name, each, work, ours);
      ours ??= work;
    }
    bodies[each.name] = ours!.body;
  }
  let missing: string | undefined;
  if (!alone) {
    const file = path.join(folder, 'answers.json');
    await writeFile(file, JSON.stringify(bodies));
    await add(
      'node-http',
      stage.start('bench/peers/node-http.ts', { place: 'tested', nodeFlags: NODE_FLAGS, args: [file] }),
    );
    const nginx = await findDebianProgram('nginx', 'nginx-light');
    if ('missing' in nginx) missing = nginx.missing;
    else {
      const program = stage.start('bench/peers/nginx-constant.ts', {
        place: 'tested',
        args: [nginx.file, folder, file],
      });
      await add('nginx', program);
      await untilListens(subjects.nginx!.port);
    }
  }

  return {
    subjects,
    cases,
    rest: { backend, load },
    bodies: bodies as ConstantAnswers,
    /** Why nginx is not among them. */
    missing,
    turn: stage.turn,

    /** Sends requests of one case to one program. */
    async send(
      { port }: Subject,
      each: Case,
      traffic: { readonly forMs: number } & ({ readonly clients: number } | { readonly perSecond: number }),
    ): Promise<RequestsAnswer> {
      const { method, paths, body } = each;
      const { forMs, ...how } = traffic;
      const tokens = tokensFor(each);
      const senders = 'clients' in how ? { crowd: { ...how, tokens } } : { callers: { ...how, tokens } };
      const request = { port, method, path: paths, forMs, ...(body !== undefined && { body }), ...senders };
      return load.ask<RequestsAnswer>({ send: request } satisfies RequestsMessage, BOUND_MS);
    },
  };
}

function startGateway(stage: Stage, endpoint: string, env: Readonly<Record<string, string>> = {}): Program {
  return stage.start(GATEWAY, {
    place: 'tested',
    nodeFlags: NODE_FLAGS,
    env: {
      FOLDFORGE_GATEWAY__BIND_ADDR: '127.0.0.1:0',
      FOLDFORGE_GATEWAY__ORCHESTRATOR_ENDPOINT: `http://${endpoint}`,
      FOLDFORGE_GATEWAY__API_KEYS_ENABLED: 'true',
      FOLDFORGE_GATEWAY__AUTH_CACHE_TTL_SECONDS: String(CACHE_TTL_SECONDS),
      ...env,
    },
  });
}

/** A folder that is there while `use` runs. */
export async function inTemporaryFolder<Result>(use: (folder: string) => Promise<Result>): Promise<Result> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'foldforge-bench-'));
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
