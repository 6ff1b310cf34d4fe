import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';
import { OrchestratorService } from '../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import type { Presence } from './engine/presence.ts';

/**
 * Answers UNAVAILABLE at once while this replica has no word from the database: a call would wait for it until its
 * deadline, and other replicas may do better.
 */
export function refuseWhenCutOff({ isAlive }: Pick<Presence, 'isAlive'>): Interceptor {
  return (next) => async (request) => {
    if (request.service.typeName === OrchestratorService.typeName && !isAlive()) {
      throw new ConnectError('the database has not answered for seconds', Code.Unavailable);
    }
    return await next(request);
  };
}
