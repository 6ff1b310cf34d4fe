import { once } from 'node:events';
import { get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { hashKey, mintKeys } from '../support/api-keys.ts';
import type { BackendAnswer, BackendMessage } from '../support/backend.ts';
import { readCpuMs, readRssBytes } from '../support/process-usage.ts';
import { median, type Round } from '../support/report.ts';
import type { Stage } from '../support/stage.ts';
import type { Form, Surroundings } from './forms.ts';

const BACKEND_BOUND_MS = 30_000;
const ANSWER_BOUND_MS = 10_000;

export interface StartEffort {
  readonly starts: number;
  /** How often the memory is looked at, each time of processes that have been ready for so long. */
  readonly idleLooks: number;
  readonly idleMs: number;
}

interface Start {
  readonly readyMs: number;
  readonly cpuMs: number;
  readonly answerMs?: number;
}

/** One round: starts all forms in turns, so many times each. Nothing else runs on their core meanwhile. */
export async function measureStarts(
  stage: Stage,
  forms: Readonly<Record<string, Form>>,
  bundledGateway: string,
  { starts, idleLooks, idleMs }: StartEffort,
): Promise<Round> {
  try {
    const backend = stage.start('bench/support/backend.ts', { place: 'rest' });
    const askBackend = (message: BackendMessage) => backend.ask<BackendAnswer>(message, BACKEND_BOUND_MS);
    const surroundings = { backendPort: await backend.port(), bundledGateway };
    const { workflowIds } = await askBackend({ hold: 1 });
    const [key] = mintKeys(1) as [string];
    await askBackend({ know: { keyHashes: [hashKey(key)], isLimited: false } });
    const request = { path: `/v1/workflows/${workflowIds[0]}`, key };

    const names = Object.keys(forms);
    const measured: Record<string, Start[]> = Object.fromEntries(names.map((name) => [name, []]));
    // The first start reads files that the next ones find in memory.
    for (let turn = -1; turn < starts; turn++) {
      for (const name of turn % 2 === 0 ? names : names.toReversed()) {
        const start = await stage.turn(() => measureStart(stage, forms[name]!, surroundings, request));
        if (turn >= 0) measured[name]!.push(start);
      }
    }
    const looks: Record<string, number>[] = [];
    for (let look = 0; look < idleLooks; look++) {
      looks.push(await stage.turn(() => readIdleMb(stage, forms, surroundings, idleMs)));
    }

    const numbers = names.map((name) => {
      const all = measured[name]!;
      const answers = all.flatMap(({ answerMs }) => answerMs ?? []);
      return [
        name,
        {
          readyMs: median(all.map(({ readyMs }) => readyMs)),
          ...(answers.length > 0 && { answerMs: median(answers) }),
          // The kernel counts in steps of 10 ms, which a median would keep.
          cpuMs: all.reduce((sum, { cpuMs }) => sum + cpuMs, 0) / all.length,
          rssMb: median(looks.map((look) => look[name]!)),
        },
      ] as const;
    });
    return Object.fromEntries(numbers);
  } finally {
    await stage.clear();
  }
}

async function measureStart(
  stage: Stage,
  { start, serves }: Form,
  surroundings: Surroundings,
  request: { readonly path: string; readonly key: string },
): Promise<Start> {
  const program = start(stage, surroundings);
  const readyMs = await program.readyMs();
  const cpuMs = readCpuMs(program.pid);
  const sinceReady = performance.now();
  if (serves) await assertAnswers(await program.port(), request);
  const answerMs = readyMs + performance.now() - sinceReady;
  await program.stop();
  return { readyMs, cpuMs, ...(serves && { answerMs }) };
}

/** Throws unless the workflow comes. */
async function assertAnswers(port: number, { path, key }: { path: string; key: string }): Promise<void> {
  const signal = AbortSignal.timeout(ANSWER_BOUND_MS);
  const headers = { Authorization: `Bearer ${key}` };
  const request = get({ port, host: '127.0.0.1', path, headers, agent: false, signal });
  const [response] = await once(request, 'response', { signal });
  response.resume();
  await once(response, 'end', { signal });
  if (response.statusCode !== 200) throw new Error(`the first answer has the status ${response.statusCode}`);
}

/** Memory of each form that nobody has asked anything yet. */
async function readIdleMb(
  stage: Stage,
  forms: Readonly<Record<string, Form>>,
  surroundings: Surroundings,
  idleMs: number,
): Promise<Record<string, number>> {
  const programs = Object.entries(forms).map(([name, { start }]) => ({
    name,
    start: () => start(stage, surroundings),
  }));
  const running = [];
  for (const { name, start } of programs) {
    const program = start();
    // One after the other: they share a core.
    await program.port();
    running.push({ name, program });
  }
  await sleep(idleMs);
  const memory: Record<string, number> = {};
  for (const { name, program } of running) {
    memory[name] = (await readRssBytes(program.pid)) / 1e6;
    await program.stop();
  }
  return memory;
}
