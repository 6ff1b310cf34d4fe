import { defineCommand } from '../command.ts';
import { watchToEnd } from '../follow.ts';

export const retry = defineCommand({
  positionals: ['ID'],
  about: 'Run the failed steps of a FAILED workflow again',
  options: {
    watch: { type: 'boolean', about: 'show its progress to the end' },
  },
  async run({ values, positionals: [id], ...call }) {
    const { api, output } = call;
    const workflow = await api.retryWorkflow(id!);
    if (values.watch) return watchToEnd(call, workflow);
    output.printJson(workflow);
    output.print(`${workflow.id}  ${output.state(workflow.state)}`);
    return 0;
  },
});
