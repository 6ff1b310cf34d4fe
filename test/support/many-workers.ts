import { Agent, get } from 'node:http';
import { connect } from 'node:net';
import { startProgram } from './process.ts';
import { until, within } from './waiting.ts';

const ADMIN = { Authorization: 'Bearer dev-token' };

export interface Answer {
  readonly status: number;
  readonly requestId: string;
  readonly body: string;
}

/** A client that has one connection, and so one worker, for as long as it does not fail. */
export function openConnection(url: string) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  return {
    request(path: string, method = 'GET'): Promise<Answer> {
      const answer = new Promise<Answer>((resolve, reject) => {
        const request = get(`${url}${path}`, { agent, method, headers: ADMIN }, (response) => {
          let body = '';
          response.setEncoding('utf8').on('data', (text) => {
            body += text;
          });
          response.on('error', reject);
          response.on('end', () =>
            resolve({ status: response.statusCode!, requestId: String(response.headers['x-request-id']), body }),
          );
        });
        request.on('error', reject);
      });
      return within(`an answer to ${path}`, answer);
    },
    close: () => agent.destroy(),
  };
}

export type Connection = ReturnType<typeof openConnection>;

/** The gateway with two workers, and eyes to see which of them does what. */
export async function startManyWorkers(settings: Readonly<Record<string, string>>) {
  const names = Object.entries({ BIND_ADDR: '127.0.0.1:0', WORKERS: '2', SHUTDOWN_DELAY_SECONDS: '0.3', ...settings });
  const env = Object.fromEntries(names.map(([name, value]) => [`FOLDFORGE_GATEWAY__${name}`, value]));
  const program = startProgram('gateway', { env });
  const [, address, pids] = await program.prints(/"address":"([^"]+)".*"worker_pids":\[([\d,]+)\].*"ready"/);
  const url = `http://${address}`;
  const first = pids!.split(',').map(Number);
  const logged = (text: string) =>
    program
      .stdout()
      .split('\n')
      .filter((line) => line.includes(text) && line.endsWith('}'))
      .map((line) => JSON.parse(line) as { readonly pid: number } & Readonly<Record<string, unknown>>);

  const everyWorker = () => [...first, ...logged('"a worker is ready"').map(({ worker_pid }) => Number(worker_pid))];

  return {
    program,
    url,
    port: Number(address!.split(':')[1]),
    /** The workers that were started first. */
    pids: first,
    /** The lines of the log with this text in them. */
    logged,
    /** The worker that answered. */
    async servedBy({ requestId }: Answer): Promise<number> {
      const line = () => logged(`"request_id":"${requestId}"`).find(({ msg }) => msg === 'request');
      await until(`the log line of ${requestId}`, line);
      return line()!.pid;
    },
    /** One request over a connection of its own. */
    async once(path: string, method = 'GET'): Promise<Answer> {
      const connection = openConnection(url);
      try {
        return await connection.request(path, method);
      } finally {
        connection.close();
      }
    },
    /** Ends it by force, also workers that a test has stopped. */
    async kill(): Promise<void> {
      for (const pid of [program.pid, ...everyWorker()]) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
      await program.exits();
    },
    /** What one scrape says of metrics by their names: the sum over their labels. */
    async scrape(): Promise<(name: string) => number> {
      const { status, body } = await this.once('/metrics');
      if (status !== 200) throw new Error(`/metrics answers ${status}: ${body}`);
      const samples = [...body.matchAll(/^(\w+)(?:\{.*\})? (\S+)$/gm)];
      return (name) => {
        const values = samples.flatMap(([, found, value]) => (found === name ? [Number(value)] : []));
        if (values.length === 0) throw new Error(`/metrics has no ${name}`);
        return values.reduce((sum, value) => sum + value);
      };
    },
  };
}

export type ManyWorkers = Awaited<ReturnType<typeof startManyWorkers>>;

/** Whether a connection to `port` is answered, and when not, how it ended. */
export function ask(port: number): {
  readonly outcome: () => 'open' | 'answered' | 'closed';
  readonly close: () => void;
} {
  let outcome: 'open' | 'answered' | 'closed' = 'open';
  const socket = connect(port, '127.0.0.1');
  socket.write('GET /v1/healthz HTTP/1.1\r\nHost: test\r\n\r\n');
  socket.once('data', () => {
    outcome = 'answered';
  });
  const end = () => {
    if (outcome === 'open') outcome = 'closed';
  };
  socket.on('error', end).on('close', end);
  return { outcome: () => outcome, close: () => socket.destroy() };
}

/** Whether a process of ours is there. */
export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
