/** Exit codes of sysexits.h that our programs use. */
export const EX_USAGE = 64;
export const EX_UNAVAILABLE = 69;
export const EX_CONFIG = 78;

/** A reason not to start that the operator can mend. Its message is one line, and all that is printed. */
export class StartupError extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number = EX_UNAVAILABLE, options?: ErrorOptions) {
    super(message.replace(/\s*\n\s*/g, ' '), options);
    this.name = 'StartupError';
    this.exitCode = exitCode;
  }
}
