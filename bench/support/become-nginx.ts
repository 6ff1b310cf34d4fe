import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import path from 'node:path';
import { configuration } from '../../test/support/nginx.ts';

/** Turns this process into nginx with the blocks of its `http`, in a folder of its own. It listens a moment later. */
export async function becomeNginx(
  program: string,
  folder: string,
  blocks: (port: number) => readonly string[],
): Promise<never> {
  // nginx cannot say which port it was given, so one is found before it starts.
  const holder = createServer().listen(0, '127.0.0.1');
  await once(holder, 'listening');
  const { port } = holder.address() as AddressInfo;
  await new Promise((resolve) => holder.close(resolve));
  writeFileSync(path.join(folder, 'nginx.conf'), configuration(blocks(port)));
  console.log(JSON.stringify({ address: `127.0.0.1:${port}` }));
  return process.execve!(program, [program, '-p', folder, '-c', 'nginx.conf'], {});
}
