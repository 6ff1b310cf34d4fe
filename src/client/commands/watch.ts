import { EX_USAGE, StartupError } from '../../shared/startup-error.ts';
import { defineCommand } from '../command.ts';
import { watchToEnd } from '../follow.ts';

export const watch = defineCommand({
  positionals: ['ID'],
  about: 'Show the progress of a workflow to its end',
  details: `Bars on a terminal, lines elsewhere; with --json each event is a line {"event", "id"?, "data"}, the last one "end". A lost
connection is resumed without losing or repeating an event.`,
  options: {
    from: { type: 'string', value: 'EVENT', about: 'first show what came after this event; 0 means everything' },
  },
  async run({ values: { from }, positionals: [id], ...call }) {
    if (from !== undefined && !/^(?:0|[1-9]\d{0,19})$/.test(from)) {
      throw new StartupError(`--from is "${from}", but must be the id of an event, a whole number`, EX_USAGE);
    }
    return watchToEnd(call, await call.api.getWorkflow(id!), from);
  },
});
