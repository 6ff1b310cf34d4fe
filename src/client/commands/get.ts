import { defineCommand } from '../command.ts';
import { describeWorkflow } from '../show-workflow.ts';

export const get = defineCommand({
  positionals: ['ID'],
  about: 'Show a workflow and its steps',
  options: {},
  async run({ positionals: [id], api, output }) {
    const workflow = await api.getWorkflow(id!);
    output.printJson(workflow);
    for (const line of describeWorkflow(workflow, output)) output.print(line);
    return 0;
  },
});
