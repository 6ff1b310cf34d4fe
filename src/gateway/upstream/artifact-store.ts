import { Agent as HttpAgent, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { GetObjectCommandInput, S3Client } from '@aws-sdk/client-s3';
import type { Tracing } from '../../shared/tracing.ts';
import type { Call } from '../context.ts';
import { GatewayError } from '../errors.ts';
import { type ByteRange, bytesOf, rangeText } from '../wire/ranges.ts';
import type { CircuitBreaker, Outcome } from './circuit-breaker.ts';
import { allowDirectReads } from './direct-reads.ts';
import { createStoreSpans } from './http-spans.ts';
import type { RetryBudget } from './retry-budget.ts';
import { fromStore, isWorthAnother, outcomeOf, type StoreFailure, wouldServe } from './store-errors.ts';

/** How long the link to an object is good, in seconds. */
const LINK_SECONDS = 60;
/** Bound of one probe, in milliseconds. */
const PROBE_TIMEOUT_MS = 3_000;
/** An object that nobody stores: what steps make is under artifacts/. */
const PROBE_KEY = 'foldforge-probe';

export interface ArtifactStoreSettings {
  /** Empty: no store. */
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** `https://endpoint/bucket/key` rather than `https://bucket.endpoint/key`. */
  readonly pathStyle: boolean;
  readonly connectTimeoutMs: number;
  /** Bound of the time until an answer has begun, and until an error is complete. */
  readonly answerTimeoutMs: number;
  readonly onFailure: (failure: StoreFailure) => void;
  /** Called when the store has begun to answer, or has failed to; not when the client went away before. */
  readonly onAnswer: (outcome: 'ok' | 'failed', seconds: number) => void;
  readonly guards: StoreGuards;
  /** Undefined: calls have no spans. */
  readonly tracing?: Tracing | undefined;
}

/** What keeps a store that is in trouble from being asked. */
export interface StoreGuards {
  readonly breaker: Pick<CircuitBreaker, 'begin'>;
  readonly retryBudget: RetryBudget;
}

export interface ArtifactStore {
  /** Throws NOT_CONFIGURED when there is no store. */
  readonly requireConfigured: () => void;
  /**
   * Opens an object of `sizeBytes` bytes, or a part of it, as a stream of exactly that. Aborting `signal` closes the
   * connection. Throws NOT_CONFIGURED, STORE_ERROR, STORE_UNAVAILABLE, also while the store is left alone, or
   * DEADLINE_EXCEEDED, also when the time of the call was up before.
   */
  readonly open: (object: {
    readonly key: string;
    readonly range: ByteRange | undefined;
    readonly sizeBytes: bigint;
    readonly call: Call;
  }) => Promise<IncomingMessage>;
  /** The URL from which whoever has it can get the object for a minute, under these headers. Throws NOT_CONFIGURED. */
  readonly linkTo: (object: {
    readonly key: string;
    readonly contentType: string;
    readonly contentDisposition: string;
  }) => Promise<string>;
  /** The origin of such URLs; undefined when there is no store. */
  readonly linkOrigin: string | undefined;
  /** Throws a GatewayError within 3 s unless the store would give files; undefined when there is no store. */
  readonly probe: ((signal: AbortSignal) => Promise<void>) | undefined;
  readonly close: () => void;
}

/** The one bucket of the settings, over S3. The SDK is loaded only when there is a store. */
export async function createArtifactStore(settings: ArtifactStoreSettings): Promise<ArtifactStore> {
  const { bucket, onFailure, onAnswer, guards } = settings;
  if (settings.endpoint === '') {
    const requireConfigured = () => {
      throw new GatewayError('NOT_CONFIGURED', 'R2_ENDPOINT is not set');
    };
    const refuse = async () => requireConfigured();
    const nothing = { linkOrigin: undefined, probe: undefined, close: () => undefined };
    return { requireConfigured, open: refuse, linkTo: refuse, ...nothing };
  }
  const { GetObjectCommand, S3Client } = await import('@aws-sdk/client-s3');
  const { getSignedUrl } = await import('@aws-sdk/s3-request-presigner');
  const client: S3Client = new S3Client({
    endpoint: settings.endpoint,
    region: settings.region,
    credentials: { accessKeyId: settings.accessKeyId, secretAccessKey: settings.secretAccessKey },
    forcePathStyle: settings.pathStyle,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: settings.connectTimeoutMs,
      // The silence in the middle of a file is watched by who passes it on: a client may be the one that is slow.
      socketTimeout: 0,
      // The SDK's 50 are soon all taken by readers that are slow.
      httpAgent: allowDirectReads(new HttpAgent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY })),
      httpsAgent: allowDirectReads(new HttpsAgent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY })),
    },
    // The second attempt is ours: the SDK would also repeat what took too long.
    maxAttempts: 1,
  });

  const { tracing } = settings;
  const startSpan = tracing && createStoreSpans(tracing, settings.endpoint, bucket);

  async function get(input: GetObjectCommandInput, call: Call): Promise<IncomingMessage> {
    const startedMs = performance.now();
    const seconds = () => (performance.now() - startedMs) / 1000;
    call.signal.throwIfAborted();
    if (call.timeLeftMs() <= 0)
      throw new GatewayError('DEADLINE_EXCEEDED', 'the time was up before the store was asked');
    const first = guards.breaker.begin();
    if (!first) {
      onFailure('circuit_open');
      throw new GatewayError('STORE_UNAVAILABLE', 'the object store is left alone: it failed five times in a row');
    }
    guards.retryBudget.deposit();
    try {
      const body = await attempt(input, call, first).catch((error: unknown) => {
        if (call.signal.aborted || call.timeLeftMs() <= 0 || !isWorthAnother(error)) throw error;
        const second = guards.retryBudget.take() ? guards.breaker.begin() : undefined;
        if (!second) throw error;
        return attempt(input, call, second);
      });
      onAnswer('ok', seconds());
      return body;
    } catch (error) {
      if (!call.signal.aborted) onAnswer('failed', seconds());
      throw error;
    }
  }

  async function attempt(
    input: GetObjectCommandInput,
    { signal, metadata }: Call,
    tell: (outcome: Outcome) => void,
  ): Promise<IncomingMessage> {
    const endSpan = startSpan?.(input.Key!, metadata);
    try {
      const { status, body } = await send(input, signal, settings.answerTimeoutMs);
      endSpan?.(status);
      tell('good');
      return body;
    } catch (error) {
      endSpan?.((error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode, error);
      tell(outcomeOf(error, signal));
      throw error;
    }
  }

  // The bound is ours: the SDK's covers the head of an answer, but not the body of an error, which it reads to its end.
  async function send(input: GetObjectCommandInput, signal: AbortSignal, timeoutMs: number) {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), timeoutMs);
    try {
      const abortSignal = AbortSignal.any([signal, late.signal]);
      const object = await client.send(new GetObjectCommand(input), { abortSignal });
      return { status: object.$metadata.httpStatusCode, body: object.Body as unknown as IncomingMessage };
    } catch (error) {
      if (!late.signal.aborted) throw error;
      throw new DOMException(`no answer came within ${timeoutMs} ms`, 'TimeoutError');
    } finally {
      clearTimeout(timer);
    }
  }

  return {
    requireConfigured: () => undefined,
    async open({ key, range, sizeBytes, call }) {
      const part = range && { Range: `bytes=${rangeText(range)}` };
      const body = await get({ Bucket: bucket, Key: key, ...part }, call).catch((error: unknown) => {
        throw fromStore(error, call.signal, onFailure);
      });
      const { 'content-length': length, 'content-range': contentRange } = body.headers;
      const expectedRange = range && `bytes ${rangeText(range)}/${sizeBytes}`;
      if (length === String(bytesOf(range, sizeBytes)) && contentRange === expectedRange) return body;
      body.destroy();
      onFailure('mismatch');
      const what = contentRange ?? (length === undefined ? 'an unknown number of bytes' : `${length} bytes`);
      throw new GatewayError('STORE_ERROR', `the object store has ${what} of ${key}, where ${sizeBytes} were recorded`);
    },
    linkTo({ key, contentType, contentDisposition }) {
      const command = new GetObjectCommand({
        Bucket: bucket,
        Key: key,
        ResponseContentType: contentType,
        ResponseContentDisposition: contentDisposition,
        ResponseCacheControl: 'private, no-cache',
      });
      return getSignedUrl(client, command, { expiresIn: LINK_SECONDS });
    },
    linkOrigin: originOf(settings),
    // Like a download, and not of the bucket: those who may read objects need not be allowed to ask for it.
    async probe(signal) {
      try {
        const { body } = await send({ Bucket: bucket, Key: PROBE_KEY, Range: 'bytes=0-0' }, signal, PROBE_TIMEOUT_MS);
        body.destroy();
      } catch (error) {
        if (!wouldServe(error)) throw fromStore(error, signal, () => undefined);
      }
    },
    close: () => client.destroy(),
  };
}

function originOf({ endpoint, bucket, pathStyle }: ArtifactStoreSettings): string {
  const { protocol, host } = new URL(endpoint);
  return pathStyle ? `${protocol}//${host}` : `${protocol}//${bucket}.${host}`;
}
