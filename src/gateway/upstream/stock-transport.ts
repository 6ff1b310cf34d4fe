import { toBinary } from '@bufbuild/protobuf';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { createSessionPool } from './session-pool.ts';
import type { TransportOptions, UpstreamTransport } from './transport.ts';

/** connect-node's own gRPC transport, over connections of the pool. */
export function createStockTransport({
  endpoint,
  keepaliveMs,
  readMaxBytes,
  secureContext,
}: TransportOptions): UpstreamTransport {
  const sessionManager = createSessionPool(endpoint, { pingIntervalMs: keepaliveMs }, secureContext);
  const stock = createGrpcTransport({ baseUrl: endpoint, sessionManager, readMaxBytes, acceptCompression: [] });
  return {
    ...stock,
    async unaryBytes(...call) {
      const { message } = await stock.unary(...call);
      return toBinary(call[0].output, message);
    },
    close: () => sessionManager.abort(),
  };
}
