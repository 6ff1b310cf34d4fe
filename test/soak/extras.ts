import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Seeded } from '../chaos/seeded.ts';
import { type Client, createClient, type Reply } from '../chaos/upstreams/client.ts';
import type { KeyHolder, Load } from '../chaos/upstreams/load.ts';
import type { Scene } from '../chaos/upstreams/scene.ts';

/** A revoked key is refused after the time for which good keys are remembered, and a little more. */
const REVOKED_MS = 45_000;
const ASK_EVERY_MS = 1_000;
/** The least that has come of a file when its reader leaves. */
const LEAVE_AFTER_BYTES = 8_000;

interface ExtrasParts {
  readonly scene: Scene;
  readonly load: Load;
  readonly seeded: Seeded;
  /** Paths that answer 200 to anybody. */
  readonly pages: readonly string[];
}

/** What honest clients do besides the steady load; each resolves with what was wrong, if anything was. */
export function createExtras({ scene, load, seeded, pages }: ExtrasParts) {
  const { port } = scene;
  let churned = 0;

  return {
    /** Watches a workflow that goes on for ever, for a moment. */
    async comeAndGo({ client, sleeper }: KeyHolder): Promise<undefined> {
      const request = http.get({
        host: '127.0.0.1',
        port,
        path: `/v1/workflows/${sleeper}/events`,
        agent: false,
        headers: {
          Authorization: `Bearer ${client.token}`,
          'X-Request-Id': `watch-${client.name}-${seeded.whole(0, 1e9)}`,
        },
      });
      request.on('error', () => {}).on('response', (response) => response.on('error', () => {}).resume());
      await sleep(seeded.whole(50, 5_000));
      request.destroy();
    },

    /** Leaves in the middle of a file. */
    async leaveFile({ client, file }: KeyHolder): Promise<undefined> {
      const leaveAfterBytes = seeded.whole(LEAVE_AFTER_BYTES, file.sizeBytes - 1);
      // Refusals are seen by whoever stays to the end.
      await client.send({ path: file.path, leaveAfterBytes });
    },

    /** A page or the contract, as a browser asks for it. */
    async openPage(): Promise<string | undefined> {
      const path = seeded.pick(pages);
      const reply = await load.stranger.send({ path, headers: { 'Accept-Encoding': 'gzip' } });
      const isGood = reply.status === 200 && !reply.broken && reply.body.length > 0;
      return isGood ? undefined : `${path}: ${reply.broken ?? reply.status}`;
    },

    /** A connection for a single question. */
    async askOnce({ client, sleeper }: KeyHolder): Promise<undefined> {
      const single = createClient(port, `once-${client.name}-${++churned}`, client.token);
      if (seeded.fraction() < 0.5) await load.asking.healthz(single);
      else await load.asking.get(single, sleeper);
      single.close();
    },

    /** A key that is made, used, and taken back: it works until then, and is refused in the end. */
    async revokeKey(): Promise<string | undefined> {
      const principal = `passer-by-${++churned}`;
      const client = createClient(port, principal, await scene.createKey(principal));
      try {
        // It has no workflows yet; while something is sick there may be no answer.
        await client.send({ path: '/v1/workflows?page_size=1' });
        await scene.revokeKeysOf(principal);
        return await waitForRefusal(client);
      } finally {
        client.close();
      }
    },
  };
}

async function waitForRefusal(client: Client): Promise<string | undefined> {
  const deadline = performance.now() + REVOKED_MS;
  let reply: Reply;
  do {
    await sleep(ASK_EVERY_MS);
    reply = await client.send({ path: '/v1/workflows?page_size=1' });
    if (reply.status === 401) return undefined;
  } while (performance.now() < deadline);
  return `a revoked key was answered with ${reply.status} after ${REVOKED_MS / 1_000} s`;
}
