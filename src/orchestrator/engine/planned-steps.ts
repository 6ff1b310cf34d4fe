import type { Step, WorkflowSpec } from '../../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import type { Resources, Runner, Tool } from '../runners/runner.ts';
import { SpecError } from './graph.ts';

/** Asks the tools whether every step of a spec, which `checkSpec` has found good, can succeed. Throws SpecError. */
export function checkTools(spec: WorkflowSpec, findFault: Runner['findFault']): void {
  const tools = new Map(spec.steps.map(({ id, tool }) => [id, tool as Tool]));
  for (const step of spec.steps) {
    const inputTools = step.dependsOn.map((id) => tools.get(id)!);
    const fault = findFault({
      tool: step.tool as Tool,
      params: step.params ?? {},
      resources: resourcesOf(step),
      inputTools,
    });
    if (fault) throw new SpecError(`step "${step.id}" (${step.tool}): ${fault}`);
  }
}

export function resourcesOf({ resources }: Pick<Step, 'resources'>): Resources {
  const { gpuType = '', gpuCount = 0, cpuCores = 0, memoryMb = 0, timeoutSeconds = 0 } = resources ?? {};
  return { gpuType, gpuCount, cpuCores, memoryMb, timeoutSeconds };
}
