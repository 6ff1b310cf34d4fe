import { accessSync, constants } from 'node:fs';
import { validateHeaderName, validateHeaderValue } from 'node:http';
import type { Environment } from './settings.ts';
import { EX_CONFIG, StartupError } from './startup-error.ts';

/** Those that OpenTelemetry's SDK specification names, without the ones that need a service of their own. */
export const SAMPLERS = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const;
export const PROTOCOLS = ['http/protobuf', 'http/json'] as const;
const COMPRESSIONS = ['none', 'gzip'] as const;
const EXPORTERS = ['otlp', 'none'] as const;

export interface TracingConfig {
  /** `service.name` and what else is said of this program. */
  readonly resource: Readonly<Record<string, string>>;
  readonly sampler: (typeof SAMPLERS)[number];
  /** Of the samplers that have one: the share of traces that are recorded, 0 to 1. */
  readonly ratio: number;
  readonly exporter: {
    readonly protocol: (typeof PROTOCOLS)[number];
    /** May have a password in it. */
    readonly url: string;
    /** Secrets, most likely. */
    readonly headers: Readonly<Record<string, string>>;
    readonly timeoutMs: number;
    readonly compression: (typeof COMPRESSIONS)[number];
  };
  /** How spans are gathered: a full queue drops what comes. */
  readonly batch: {
    readonly delayMs: number;
    readonly timeoutMs: number;
    readonly queueSize: number;
    readonly size: number;
  };
}

/**
 * Reads OpenTelemetry's own variables (OTEL_*). Undefined: nobody asks for traces. Throws a StartupError (exit code 78)
 * that names each bad variable, but shows no value of one that may hold a secret.
 */
export function readTracingConfig(environment: Environment, serviceName: string): TracingConfig | undefined {
  // An empty variable is the same as none (OpenTelemetry, "Environment Variable Specification").
  const read = (name: string) => environment[name]?.trim() || undefined;
  if (read('OTEL_SDK_DISABLED')?.toLowerCase() === 'true') return undefined;
  const faults: string[] = [];

  function choose<const C extends string>(name: string, choices: readonly C[], fallback: C): C {
    const value = read(name)?.toLowerCase() ?? fallback;
    const found = choices.find((choice) => choice === value);
    if (found === undefined) faults.push(`${name} is "${value}", but must be one of: ${choices.join(', ')}`);
    return found ?? fallback;
  }

  function readNumber(name: string, fallback: number, { min = 0, max = Number.MAX_SAFE_INTEGER, whole = true } = {}) {
    const text = read(name) ?? String(fallback);
    const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max && (!whole || Number.isInteger(value))) return value;
    faults.push(`${name} is "${text}", but must be a ${whole ? 'whole ' : ''}number from ${min} to ${max}`);
    return fallback;
  }

  /** The variable of traces alone, or else the one of all signals. */
  function ofTraces(name: string): string {
    const own = `OTEL_EXPORTER_OTLP_TRACES_${name}`;
    return read(own) === undefined ? `OTEL_EXPORTER_OTLP_${name}` : own;
  }

  function readPairs(name: string): Record<string, string> {
    try {
      return parsePairs(read(name) ?? '');
    } catch {
      faults.push(`${name} must be key=value, several with commas between them, percent-encoded where they need to be`);
      return {};
    }
  }

  function readHeaders(): Record<string, string> {
    const name = ofTraces('HEADERS');
    const headers = readPairs(name);
    try {
      for (const [header, value] of Object.entries(headers)) {
        validateHeaderName(header);
        validateHeaderValue(header, value);
      }
    } catch {
      faults.push(`${name} has a name or a value that no HTTP header can have`);
    }
    return headers;
  }

  /** The SDK reads them itself, and goes on without the ones that it cannot read. */
  function checkFile(name: string): void {
    const file = read(name);
    try {
      if (file !== undefined) accessSync(file, constants.R_OK);
    } catch (error) {
      faults.push(`${name} names a file that cannot be read (${(error as NodeJS.ErrnoException).code})`);
    }
  }

  function readUrl(): string {
    const name = ofTraces('ENDPOINT');
    const text = read(name) ?? 'http://localhost:4318';
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (!url || !/^https?:$/.test(url.protocol)) faults.push(`${name} must be an http:// or https:// URL`);
    // The one of traces alone is used as it is.
    return name === 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT' ? text : `${text.replace(/\/+$/, '')}/v1/traces`;
  }

  const wanted = read('OTEL_TRACES_EXPORTER') ?? (read(ofTraces('ENDPOINT')) === undefined ? 'none' : 'otlp');
  if (wanted.toLowerCase() === 'none') return undefined;
  choose('OTEL_TRACES_EXPORTER', EXPORTERS, 'otlp');
  const config: TracingConfig = {
    resource: {
      'service.name': serviceName,
      ...readPairs('OTEL_RESOURCE_ATTRIBUTES'),
      ...(read('OTEL_SERVICE_NAME') !== undefined && { 'service.name': read('OTEL_SERVICE_NAME')! }),
    },
    sampler: choose('OTEL_TRACES_SAMPLER', SAMPLERS, 'parentbased_always_on'),
    ratio: 1,
    exporter: {
      protocol: choose(ofTraces('PROTOCOL'), PROTOCOLS, 'http/protobuf'),
      url: readUrl(),
      headers: readHeaders(),
      timeoutMs: readNumber(ofTraces('TIMEOUT'), 10_000, { min: 1, max: 3_600_000 }),
      compression: choose(ofTraces('COMPRESSION'), COMPRESSIONS, 'none'),
    },
    batch: {
      delayMs: readNumber('OTEL_BSP_SCHEDULE_DELAY', 5_000, { min: 1, max: 3_600_000 }),
      timeoutMs: readNumber('OTEL_BSP_EXPORT_TIMEOUT', 30_000, { min: 1, max: 3_600_000 }),
      queueSize: readNumber('OTEL_BSP_MAX_QUEUE_SIZE', 2_048, { min: 1, max: 1_000_000 }),
      size: readNumber('OTEL_BSP_MAX_EXPORT_BATCH_SIZE', 512, { min: 1, max: 1_000_000 }),
    },
  };
  for (const kind of ['CERTIFICATE', 'CLIENT_CERTIFICATE', 'CLIENT_KEY']) checkFile(ofTraces(kind));
  const hasRatio = config.sampler.endsWith('traceidratio');
  const ratio = hasRatio ? readNumber('OTEL_TRACES_SAMPLER_ARG', 1, { max: 1, whole: false }) : 1;
  if (config.batch.size > config.batch.queueSize && read('OTEL_BSP_MAX_EXPORT_BATCH_SIZE') !== undefined) {
    faults.push('OTEL_BSP_MAX_EXPORT_BATCH_SIZE is larger than OTEL_BSP_MAX_QUEUE_SIZE');
  }
  if (faults.length > 0) throw new StartupError(faults.join('; '), EX_CONFIG);
  const size = Math.min(config.batch.size, config.batch.queueSize);
  return { ...config, ratio, batch: { ...config.batch, size } };
}

/** W3C Baggage without its properties, as OpenTelemetry's variables have it. Throws for what is not that. */
function parsePairs(text: string): Record<string, string> {
  const pairs = text.split(',').flatMap((entry) => (entry.trim() === '' ? [] : [entry]));
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      const name = decodeURIComponent(pair.slice(0, Math.max(at, 0)).trim());
      if (name === '') throw new Error('a pair has no name');
      return [name, decodeURIComponent(pair.slice(at + 1).trim())];
    }),
  );
}
