import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { EX_USAGE, StartupError } from '../../shared/startup-error.ts';
import { ApiError } from '../api-error.ts';
import { type CommandCall, checkLabels, defineCommand, type Options } from '../command.ts';
import type { Workflow } from '../contract.ts';
import { EX_DATAERR, EX_NOINPUT } from '../exit-codes.ts';
import { watchToEnd } from '../follow.ts';

export const submit = defineCommand({
  positionals: ['FILE|-'],
  about: 'Submit a workflow, and print its id',
  details: `FILE is a WorkflowSpec as JSON, as in examples/workflows; - reads standard input. However often the call has to be
repeated, one workflow is made: the server knows it by its idempotency key. Give one of your own
to be able to repeat the command itself.`,
  options: {
    watch: { type: 'boolean', about: 'show its progress to the end' },
    label: {
      type: 'string',
      multiple: true,
      value: 'K=V',
      about: 'add a label, or replace that of the file; may be repeated',
    },
    'idempotency-key': {
      type: 'string',
      value: 'KEY',
      about: '1 to 255 visible ASCII characters; made up if not given',
    },
  },
  async run({ values, positionals: [file], ...call }) {
    const { output, readStdin } = call;
    const key = values['idempotency-key'];
    if (key !== undefined && !/^[\x21-\x7e]{1,255}$/.test(key)) {
      throw new StartupError('--idempotency-key must be 1 to 255 visible ASCII characters', EX_USAGE);
    }
    const labels = checkLabels(values.label ?? []);
    const text = file === '-' ? await readStdin() : await readSpec(file!);
    const workflow = await submitOnce(addLabels(parseSpec(file!, text), labels), key, call);
    if (!values.watch) {
      output.print(workflow.id);
      output.printJson(workflow);
      return 0;
    }
    output.print(`Workflow ${workflow.id}`);
    output.printJson({ event: 'submitted', data: workflow }, { compact: true });
    return watchToEnd(call, workflow, '0');
  },
});

/** Whoever gets no answer is told how to find out what became of it. */
async function submitOnce(
  spec: unknown,
  key: string = randomUUID(),
  { api, output }: Pick<CommandCall<Options>, 'api' | 'output'>,
): Promise<Workflow> {
  try {
    return await api.submitWorkflow(spec, key);
  } catch (error) {
    // A 409 may say that the first attempt, of which no answer came, is still under way.
    const isRefused = error instanceof ApiError && error.status < 500 && !error.isPassing;
    if (!isRefused) output.note(`foldforge: to repeat this without submitting twice: --idempotency-key ${key}`);
    throw error;
  }
}

async function readSpec(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new StartupError(`${file} cannot be read (${(error as NodeJS.ErrnoException).code})`, EX_NOINPUT);
  }
}

function parseSpec(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const name = file === '-' ? 'standard input' : file;
    throw new StartupError(`${name} is not JSON: ${(error as Error).message}`, EX_DATAERR);
  }
}

/** What is no object is left to the server to refuse. */
function addLabels(spec: unknown, labels: readonly string[]): unknown {
  if (labels.length === 0 || typeof spec !== 'object' || spec === null || Array.isArray(spec)) return spec;
  const added = labels.map((label) => [label.slice(0, label.indexOf('=')), label.slice(label.indexOf('=') + 1)]);
  return { ...spec, labels: { ...(spec as { labels?: object }).labels, ...Object.fromEntries(added) } };
}
