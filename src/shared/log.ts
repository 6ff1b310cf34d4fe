import { type DestinationStream, type Logger, pino } from 'pino';

export type Log = Logger;

/** The levels of pino, from nothing to everything. */
export const LOG_LEVELS = ['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/**
 * The members of an error that tell what went wrong. Others are left out: they hold what was sent or stored, such as the
 * row that a database refused, or the request that a store did not take.
 */
const ERROR_MEMBERS = [
  'type',
  'message',
  'stack',
  'name',
  'code',
  'errno',
  'syscall',
  'address',
  'port',
  'severity',
  'schema',
  'table',
  'column',
  'constraint',
  'routine',
  '$metadata',
];

/** What is written together at most: processes that share a pipe must not write more in one piece (PIPE_BUF of pipe(7)). */
const BATCH_BYTES = 4_096;
/** The moment in which lines are gathered, in milliseconds. */
const BATCH_MS = 20;

function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { message: String(error) };
  const { aggregateErrors, ...members } = pino.stdSerializers.err(error) as unknown as Record<string, unknown>;
  const { errors } = error as Partial<AggregateError>;
  return {
    ...Object.fromEntries(
      ERROR_MEMBERS.flatMap((name) => (members[name] === undefined ? [] : [[name, members[name]]])),
    ),
    ...(aggregateErrors !== undefined && errors && { aggregateErrors: errors.map(serializeError) }),
  };
}

/** JSON lines to standard output (or `destination`), one object each, named by the program that writes them. */
export function createLog(program: string, level: LogLevel, destination?: DestinationStream): Log {
  const options = {
    name: program,
    level,
    base: { pid: process.pid },
    timestamp: createIsoTime(),
    serializers: { err: serializeError },
    formatters: { level: (label: string) => ({ level: label }) },
    // A second wall: nothing hands these to the log, and if something did, they would not be written.
    redact: {
      paths: [
        'authorization',
        'headers.authorization',
        'token',
        'secret',
        'password',
        '*.token',
        '*.secret',
        '*.password',
      ],
      censor: '[redacted]',
    },
  };
  return pino(options, destination ?? openStandardOutput());
}

/** The time as pino writes it, made once for all lines of a millisecond. */
function createIsoTime(): () => string {
  let madeAt = 0;
  let text = '';
  return () => {
    const now = Date.now();
    if (now !== madeAt) text = `,"time":"${new Date(now).toISOString()}"`;
    madeAt = now;
    return text;
  };
}

/** For lines that have nothing but words of ours and numbers: to look for secrets in each costs three times the line. */
export function withoutRedaction(log: Log): Log {
  return log.child({}, { redact: { paths: [] } });
}

/**
 * Writes a line at once when the last one is long ago, and else those of a moment together, so that a busy program does not
 * pay for a system call with each. None is lost when the process ends by itself, also by an error.
 */
export function openStandardOutput(): DestinationStream {
  const output = pino.destination({ fd: process.stdout.fd, sync: true });
  let batch = '';
  let batchBytes = 0;
  let writtenAt = Number.NEGATIVE_INFINITY;
  let timer: NodeJS.Timeout | undefined;
  const flush = () => {
    clearTimeout(timer);
    timer = undefined;
    writtenAt = performance.now();
    if (batch) output.write(batch);
    batch = '';
    batchBytes = 0;
  };
  process.once('exit', flush);
  return {
    write(line) {
      const lineBytes = Buffer.byteLength(line);
      if (batchBytes + lineBytes > BATCH_BYTES) flush();
      batch += line;
      batchBytes += lineBytes;
      if (!timer && performance.now() - writtenAt > BATCH_MS) flush();
      else timer ??= setTimeout(flush, BATCH_MS).unref();
    },
  };
}
