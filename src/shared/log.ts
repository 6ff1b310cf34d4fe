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
    timestamp: pino.stdTimeFunctions.isoTime,
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
  return destination ? pino(options, destination) : pino(options);
}
