import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { EX_USAGE, StartupError } from '../../shared/startup-error.ts';
import type { ApiClient } from '../api.ts';
import { type ArtifactFile, chooseFiles, toFileName } from '../artifact-files.ts';
import { defineCommand } from '../command.ts';
import type { Downloaded } from '../download.ts';

export const download = defineCommand({
  positionals: ['ID', '[DESIGN…]'],
  about: 'Download what a workflow has made, each file with its SHA-256 checked',
  details: `A DESIGN is a SHA-256, or the first 8 or more digits of it, as \`rank\` shows them; without any, all files come. They are named
after their steps. A file that is there already is not loaded again, and one that was broken off is resumed.`,
  options: {
    step: { type: 'string', multiple: true, value: 'S', about: 'only what this step has made; may be repeated' },
    output: {
      type: 'string',
      value: 'DIR',
      about: 'the folder for the files, made if need be (one named after the ID)',
    },
  },
  async run({ values, positionals: [id, ...sha256s], api, output }) {
    const wrong = sha256s.find((sha256) => !/^[0-9a-f]{8,64}$/.test(sha256));
    if (wrong !== undefined)
      throw new StartupError(`"${wrong}" is not a SHA-256, nor 8 or more digits of one`, EX_USAGE);
    const workflow = await api.getWorkflow(id!);
    const chosen = chooseFiles(workflow, { stepIds: values.step ?? [], sha256s });
    const files: unknown[] = [];
    await downloadFiles(
      api,
      workflow.id,
      chosen,
      values.output ?? toFileName(workflow.id),
      (file, status, { stepId, artifact }) => {
        files.push({ file, status, step_id: stepId, ...artifact });
        output.print(
          `${file}  ${artifact.size_bytes} bytes  sha256 ${artifact.sha256}${status === 'downloaded' ? '' : `  (${status})`}`,
        );
      },
    );
    output.printJson({ files });
    if (files.length === 0 && !output.isJson) output.note('the workflow has made no files');
    if (workflow.state === 'QUEUED' || workflow.state === 'RUNNING') {
      output.note(`the workflow is ${workflow.state}: there may be more files when it is over`);
    }
    return 0;
  },
});

/** Leaves each file in the folder, one after the other. Throws at the first that cannot be had. */
export async function downloadFiles(
  api: ApiClient,
  workflowId: string,
  chosen: readonly ArtifactFile[],
  folder: string,
  onFile: (file: string, status: Downloaded, chosen: ArtifactFile) => void,
): Promise<void> {
  if (chosen.length > 0) await mkdir(folder, { recursive: true });
  for (const each of chosen) {
    const file = path.join(folder, each.name);
    onFile(file, await api.downloadArtifact(workflowId, each.artifact, file), each);
  }
}
