import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { GrpcServer, GrpcServerOptions } from './grpc-servers.ts';
import { within } from './waiting.ts';

const BUILT = fileURLToPath(new URL('grpc-go-server/server', import.meta.url));
const BINARY = process.env.FOLDFORGE_TEST_GRPC_GO ?? BUILT;

/** Why the server cannot be started here; false when it can. */
export const GRPC_GO_MISSING = existsSync(BINARY)
  ? false
  : `there is no ${process.env.FOLDFORGE_TEST_GRPC_GO ?? 'test/support/grpc-go-server/server'}; npm run conformance builds it`;

/** The conformance service on grpc-go, in a process of its own, which ends with this one. */
export async function startGrpcGoServer({ port = 0, maxStreams, maxAgeMs }: GrpcServerOptions): Promise<GrpcServer> {
  const options = [`-port=${port}`, `-max-streams=${maxStreams ?? 0}`, `-max-age=${maxAgeMs ?? 0}ms`];
  const child = spawn(BINARY, options, { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  const [line] = (await within('grpc-go to listen', once(createInterface(child.stdout), 'line'))) as [string];
  return {
    port: Number(line),
    async close() {
      child.kill('SIGKILL');
      await within('grpc-go to end', ended);
    },
  };
}
