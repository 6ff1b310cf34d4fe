import { type DestinationStream, type Logger, pino } from 'pino';

export type Log = Logger;

/** The levels of pino, from nothing to everything. */
export const LOG_LEVELS = ['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** JSON lines to standard output (or `destination`), one object each, named by the program that writes them. */
export function createLog(program: string, level: LogLevel, destination?: DestinationStream): Log {
  const options = {
    name: program,
    level,
    base: { pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
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
