import { Code, ConnectError } from '@connectrpc/connect';
import type { Attributes, Span, SpanKind, TraceHeaders, Tracing } from './tracing.ts';

/** A method of protobuf's, as far as a span tells of it. */
export interface RpcMethod {
  readonly name: string;
  readonly parent: { readonly typeName: string };
}

export interface RpcSpan extends Pick<Span, 'headers' | 'spanId'> {
  /** Ends it, once. Of what was thrown, only the status code is told. */
  readonly end: (thrown?: unknown, attributes?: Attributes) => void;
}

/** What a server has done wrong, rather than whoever called it (OpenTelemetry's conventions for gRPC). */
const SERVER_FAULTS: ReadonlySet<Code> = new Set([
  Code.Unknown,
  Code.DeadlineExceeded,
  Code.Unimplemented,
  Code.Internal,
  Code.Unavailable,
  Code.DataLoss,
]);

/** Starts the span of a gRPC call, named as OpenTelemetry's conventions name it: `service/Method`. */
export function startRpcSpan(
  tracing: Tracing,
  kind: Extract<SpanKind, 'server' | 'client'>,
  method: RpcMethod,
  parent: TraceHeaders,
): RpcSpan {
  const service = method.parent.typeName;
  const span = tracing.startSpan(`${service}/${method.name}`, kind, parent);
  const { headers, spanId } = span;
  const common = { 'rpc.system': 'grpc', 'rpc.service': service, 'rpc.method': method.name };
  return {
    headers,
    spanId,
    end(thrown, attributes) {
      const code = thrown === undefined ? undefined : ConnectError.from(thrown, Code.Internal).code;
      const isError = code !== undefined && (kind === 'client' || SERVER_FAULTS.has(code));
      span.end({
        attributes: { ...common, 'rpc.grpc.status_code': code ?? 0, ...attributes },
        error: isError ? statusName(code) : undefined,
      });
    },
  };
}

/** As the protocol writes it, such as DEADLINE_EXCEEDED. */
function statusName(code: Code): string {
  // The one that Connect spells in another way.
  if (code === Code.Canceled) return 'CANCELLED';
  return (Code[code] ?? 'Unknown').replaceAll(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase();
}
