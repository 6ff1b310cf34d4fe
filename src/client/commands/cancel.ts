import { defineCommand } from '../command.ts';

export const cancel = defineCommand({
  positionals: ['ID'],
  about: 'Cancel a workflow; finished steps keep their files',
  options: {},
  async run({ positionals: [id], api, output }) {
    const workflow = await api.cancelWorkflow(id!);
    output.printJson(workflow);
    output.print(`${workflow.id}  ${output.state(workflow.state)}`);
    return 0;
  },
});
