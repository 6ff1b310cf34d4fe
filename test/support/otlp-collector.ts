import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import type { Log } from '../../src/shared/log.ts';
import { createTracing, type Tracing } from '../../src/shared/tracing.ts';
import { readTracingConfig } from '../../src/shared/tracing-config.ts';
import { readJsonSpans, readProtobufSpans } from './otlp-spans.ts';
import { until } from './waiting.ts';

export interface ReceivedSpan {
  /** `service.name` of the resource. */
  readonly service: string;
  readonly resource: Readonly<Record<string, unknown>>;
  readonly traceId: string;
  readonly spanId: string;
  /** Empty: it begins its trace. */
  readonly parentSpanId: string;
  readonly traceState: string;
  readonly name: string;
  readonly kind: 'INTERNAL' | 'SERVER' | 'CLIENT' | 'other';
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly isError: boolean;
  readonly durationMs: number;
}

/** What it does with an export: takes it, answers with a status, or says nothing at all. */
type Manner = 'take' | number | 'silence';

export type OtlpCollector = Awaited<ReturnType<typeof startOtlpCollector>>;

/** Receives traces by OTLP over HTTP, in both of its encodings. */
export async function startOtlpCollector() {
  const spans: ReceivedSpan[] = [];
  const requests: { readonly path: string; readonly headers: IncomingMessage['headers']; readonly bytes: number }[] =
    [];
  /** What came, as text, for whoever looks for something that must not be in it. */
  const texts: string[] = [];
  let manner: Manner = 'take';

  async function receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece);
    const sent = Buffer.concat(pieces);
    requests.push({ path: request.url ?? '', headers: request.headers, bytes: sent.length });
    if (manner === 'silence') return;
    if (manner !== 'take') {
      response.writeHead(manner).end();
      return;
    }
    const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(sent) : sent;
    const isJson = request.headers['content-type'] === 'application/json';
    spans.push(...(isJson ? readJsonSpans(body.toString()) : readProtobufSpans(body)));
    texts.push(body.toString('latin1'));
    response.writeHead(200, { 'Content-Type': request.headers['content-type'] }).end(isJson ? '{}' : '');
  }

  const server = createServer((request, response) => {
    receive(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    requests,
    texts,
    behave(next: Manner): void {
      manner = next;
    },
    /** The span of that name, which may still be on its way; of several, the first. */
    async span(name: string | RegExp, matches: (span: ReceivedSpan) => boolean = () => true): Promise<ReceivedSpan> {
      const isIt = (span: ReceivedSpan) =>
        (typeof name === 'string' ? span.name === name : name.test(span.name)) && matches(span);
      await until(`the span ${name} among ${spans.map((span) => span.name)}`, () => spans.some(isIt));
      return spans.find(isIt)!;
    },
    close(): Promise<void> {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

/** Makes the tracing of a program that exports to a collector, batch by batch without much delay. */
export function tracingTo(
  { url }: Pick<OtlpCollector, 'url'>,
  settings: Readonly<Record<string, string>> = {},
  service = 'foldforge-gateway',
): (log: Log) => Promise<Tracing | undefined> {
  return (log) => createTracing(readTracingConfig({ ...otelSettings({ url }), ...settings }, service), log);
}

/** The environment of a program that exports to a collector. */
export function otelSettings({ url }: Pick<OtlpCollector, 'url'>): Record<string, string> {
  return { OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_BSP_SCHEDULE_DELAY: '20' };
}
