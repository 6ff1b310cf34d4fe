import { create } from '@bufbuild/protobuf';
import { Code, ConnectError, type ServiceImpl } from '@connectrpc/connect';
import { OrchestratorService } from '../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import {
  type Health,
  HealthCheckResponse_ServingStatus,
  HealthCheckResponseSchema,
} from '../gen/grpc/health/v1/health_pb.ts';
import type { Log } from '../shared/log.ts';
import type { Database } from './store/database.ts';

const PING_TIMEOUT_MS = 2_000;

/** grpc.health.v1: SERVING means that the database answers. Watch is left out, which the protocol allows. */
export function createHealth({ ping }: Database, log: Log): Pick<ServiceImpl<typeof Health>, 'check'> {
  return {
    async check({ service }) {
      if (service !== '' && service !== OrchestratorService.typeName) {
        throw new ConnectError('no such service', Code.NotFound);
      }
      return create(HealthCheckResponseSchema, { status: await readStatus() });
    },
  };

  async function readStatus(): Promise<HealthCheckResponse_ServingStatus> {
    try {
      await ping(PING_TIMEOUT_MS);
      return HealthCheckResponse_ServingStatus.SERVING;
    } catch (error) {
      log.warn({ err: error }, 'not serving: the database does not answer');
      return HealthCheckResponse_ServingStatus.NOT_SERVING;
    }
  }
}
