import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { startFakeOrchestrator } from './fake-orchestrator.ts';

// The program of fake-orchestrator-process.ts: an orchestrator on the given port that knows one workflow.
const [port, id] = process.argv.slice(2);
const orchestrator = await startFakeOrchestrator({ health: true, replay: true, port: Number(port) });
orchestrator.put({ id: id!, spec: { name: id! }, state: JobState.RUNNING });
console.log(orchestrator.port);
// It ends with whoever has started it.
process.stdin.on('close', () => process.exit()).resume();
