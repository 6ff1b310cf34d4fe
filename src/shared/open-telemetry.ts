import { randomUUID } from 'node:crypto';
import {
  createTraceState,
  type Span as RecordedSpan,
  ROOT_CONTEXT,
  type SpanContext,
  SpanKind as SpanKinds,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api';
import { defaultResource, resourceFromAttributes } from '@opentelemetry/resources';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { Log } from './log.ts';
import { tellOfOutages } from './open-telemetry-outages.ts';
import type { Span, SpanEnd, SpanKind, TraceHeaders, Tracing } from './tracing.ts';
import type { TracingConfig } from './tracing-config.ts';

/** What is longer is cut: names and keys that clients choose have bounds of their own, but not all of them small ones. */
const ATTRIBUTE_CHARACTERS = 1_024;
/** W3C Trace Context, section 3.2; what a later version adds at the end is passed over. */
const TRACEPARENT = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

const KINDS: Readonly<Record<SpanKind, SpanKinds>> = {
  server: SpanKinds.SERVER,
  client: SpanKinds.CLIENT,
  internal: SpanKinds.INTERNAL,
};

/**
 * Spans of OpenTelemetry's SDK, exported over OTLP by a batch at a time. An exporter that is down or slow holds nothing
 * up: spans wait in a bounded queue, and are dropped when it is full.
 */
export async function createOpenTelemetry(config: TracingConfig, log: Log): Promise<Tracing> {
  const { batch, resource } = config;
  const exporter = tellOfOutages(await createExporter(config.exporter), log);
  const provider = new TracerProvider({
    resource: defaultResource().merge(resourceFromAttributes({ 'service.instance.id': randomUUID(), ...resource })),
    sampler: createSampler(config),
    spanLimits: { attributeValueLengthLimit: ATTRIBUTE_CHARACTERS },
    spanProcessors: [
      new BatchSpanProcessor({
        exporter,
        scheduledDelayMillis: batch.delayMs,
        exportTimeoutMillis: batch.timeoutMs,
        maxQueueSize: batch.queueSize,
        maxExportBatchSize: batch.size,
      }),
    ],
  });
  const tracer = provider.getTracer('foldforge');
  const { protocol, url } = config.exporter;
  log.info({ collector: new URL(url).host, protocol, sampler: config.sampler }, 'traces are exported');

  return {
    startSpan(name, kind, parent) {
      const context = readParent(parent, kind !== 'client');
      const within = context ? trace.setSpanContext(ROOT_CONTEXT, context) : ROOT_CONTEXT;
      return spanOf(tracer.startSpan(name, { kind: KINDS[kind] }, within));
    },

    async close(boundMs) {
      const { promise: late, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, boundMs);
      // What could not be sent has been told of by the exporter.
      await Promise.race([provider.shutdown().catch(() => undefined), late]);
      clearTimeout(timer);
    },
  };
}

async function createExporter({ protocol, url, headers, timeoutMs, compression }: TracingConfig['exporter']) {
  const { OTLPTraceExporter } =
    protocol === 'http/json'
      ? await import('@opentelemetry/exporter-trace-otlp-http')
      : await import('@opentelemetry/exporter-trace-otlp-proto');
  const options = { url, headers: { ...headers }, timeoutMillis: timeoutMs, keepAlive: true };
  type Compression = NonNullable<ConstructorParameters<typeof OTLPTraceExporter>[0]>['compression'];
  return new OTLPTraceExporter({ ...options, compression: compression as Compression }) as SpanExporter;
}

/** A parent's decision counts for the `parentbased_` ones, wherever it was taken. */
function createSampler({ sampler, ratio }: Pick<TracingConfig, 'sampler' | 'ratio'>): Sampler {
  const kind = sampler.replace('parentbased_', '');
  const root =
    kind === 'always_on'
      ? new AlwaysOnSampler()
      : kind === 'always_off'
        ? new AlwaysOffSampler()
        : new TraceIdRatioBasedSampler(ratio);
  return kind === sampler ? root : new ParentBasedSampler({ root });
}

function readParent({ traceparent, tracestate }: TraceHeaders, isRemote: boolean): SpanContext | undefined {
  const [, version, traceId, spanId, flags, rest] = TRACEPARENT.exec(traceparent ?? '') ?? [];
  if (!traceId || !spanId || (version === '00' && rest !== undefined)) return undefined;
  const traceFlags = Number.parseInt(flags!, 16) & TraceFlags.SAMPLED;
  return { traceId, spanId, traceFlags, isRemote, ...(tracestate && { traceState: createTraceState(tracestate) }) };
}

function spanOf(span: RecordedSpan): Span {
  const { traceId, spanId, traceFlags, traceState } = span.spanContext();
  const tracestate = traceState?.serialize();
  const traceparent = `00-${traceId}-${spanId}-0${traceFlags & TraceFlags.SAMPLED}`;
  return {
    headers: { traceparent, ...(tracestate && { tracestate }) },
    spanId,
    isRecorded: span.isRecording(),
    end({ name, attributes, error }: SpanEnd): void {
      if (!span.isRecording()) return;
      if (name !== undefined) span.updateName(name);
      span.setAttributes(attributes);
      if (error !== undefined) span.setAttribute('error.type', error).setStatus({ code: SpanStatusCode.ERROR });
      span.end();
    },
  };
}
