import { GatewayError } from '../errors.ts';
import { findJsonFault } from './json-faults.ts';

/**
 * Lets through a JSON text that means one thing to everybody who reads it (I-JSON, RFC 7493) and costs no more than its size
 * suggests. Throws INVALID_ARGUMENT with a pointer to what is wrong (`findJsonFault`).
 */
export function refuseJsonFault(text: string): void {
  const fault = findJsonFault(text);
  if (!fault) return;
  const where = fault.pointer === '' ? 'the body' : fault.pointer;
  throw new GatewayError('INVALID_ARGUMENT', `${where} ${fault.message}`, { faults: [fault] });
}

/** The value of any JSON text (RFC 8259). Throws INVALID_ARGUMENT. */
export function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const message = text === '' ? 'the body is empty' : `the body is not JSON: ${(cause as Error).message}`;
    throw new GatewayError('INVALID_ARGUMENT', message, { faults: [{ pointer: '', message }], cause });
  }
}
