import { startConnectServer } from './grpc-connect-server.ts';
import { GRPC_GO_MISSING, startGrpcGoServer } from './grpc-go-process.ts';
import { startGrpcJsServer } from './grpc-js-server.ts';

export interface GrpcServerOptions {
  /** 0 or none: a free one. */
  readonly port?: number;
  /** Streams that it takes on one connection. */
  readonly maxStreams?: number;
  /** How long a connection is used before the server says GOAWAY and goes on with what is open. */
  readonly maxAgeMs?: number;
}

export interface GrpcServer {
  readonly port: number;
  /** Breaks what is open. */
  close(): Promise<void>;
}

interface ServerKind {
  readonly name: string;
  readonly start: (options: GrpcServerOptions) => Promise<GrpcServer>;
  /** Why it cannot be started here. */
  readonly skip: string | false;
}

/** The servers that each transport has to understand. */
export const GRPC_SERVERS: readonly ServerKind[] = [
  { name: 'connect-node', start: startConnectServer, skip: false },
  { name: 'grpc-js', start: startGrpcJsServer, skip: false },
  { name: 'grpc-go', start: startGrpcGoServer, skip: GRPC_GO_MISSING },
];
