import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';

/** All that we use; what else there is in a Dockerfile, the replay would have to learn first. */
const KEYWORDS = [
  'ARG',
  'CMD',
  'COPY',
  'ENTRYPOINT',
  'ENV',
  'EXPOSE',
  'HEALTHCHECK',
  'LABEL',
  'RUN',
  'USER',
  'WORKDIR',
];

interface Instruction {
  readonly keyword: string;
  readonly value: string;
}

export interface Stage {
  readonly base: string;
  readonly name: string;
  readonly instructions: readonly Instruction[];
  /** The values of a keyword, in their order. */
  all(keyword: string): readonly string[];
  /** The value of a keyword that is there once; throws when it is not. */
  one(keyword: string): string;
}

/** Throws for an instruction that it does not know. */
export function readDockerfile(text: string): readonly Stage[] {
  const lines = text
    .replaceAll(/^\s*#.*\n/gm, '')
    .replaceAll(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line.trim());
  const stages: { base: string; name: string; instructions: Instruction[] }[] = [];
  for (const line of lines) {
    const [, keyword = '', value = ''] = /^(\w+)\s+(.*)$/.exec(line) ?? [];
    if (keyword === 'FROM') {
      const [, base = '', name = String(stages.length)] = /^(\S+)(?: AS (\S+))?$/.exec(value) ?? [];
      stages.push({ base, name, instructions: [] });
    } else if (KEYWORDS.includes(keyword)) stages.at(-1)!.instructions.push({ keyword, value });
    else throw new Error(`an instruction that is not known here: ${line}`);
  }
  return stages.map((stage) => {
    const all = (keyword: string) =>
      stage.instructions.filter((instruction) => instruction.keyword === keyword).map(({ value }) => value);
    const one = (keyword: string) => {
      const [value, ...more] = all(keyword);
      if (value === undefined || more.length > 0) throw new Error(`not one ${keyword} in ${stage.base}, ${stage.name}`);
      return value;
    };
    return { ...stage, all, one };
  });
}

/**
 * Whether a path of the project is sent to the builder, by the text of a .dockerignore: the last pattern that matches a path
 * or a folder above it decides.
 */
export function readContext(dockerignore: string): (file: string) => boolean {
  const patterns = dockerignore
    .split('\n')
    .filter((line) => line.trim() && !line.startsWith('#'))
    .map((line) => {
      const sent = line.startsWith('!');
      const glob = path.posix.normalize(line.trim().replace(/^!/, '')).replace(/^\/|\/$/g, '');
      if (glob.includes('**') || /[?[\]\\]/.test(glob)) throw new Error(`a pattern that is not known here: ${line}`);
      const source = glob.replaceAll(/[.+^${}()|]/g, '\\$&').replaceAll('*', '[^/]*');
      return { sent, matches: new RegExp(`^${source}(/|$)`) };
    });
  return (file) => patterns.findLast(({ matches }) => matches.test(file))?.sent ?? true;
}

interface Replay {
  readonly project: string;
  /** Gets a folder for each stage, by its name: the root of its file system. */
  readonly folder: string;
  readonly stages: readonly Stage[];
  /** Carries a RUN out, in a folder of its stage. */
  run(command: string, cwd: string, environment: Readonly<Record<string, string>>, stage: Stage): Promise<void>;
}

/** Does what a Dockerfile says, but without its base images. Answers with the root of the last stage's file system. */
export async function replayDockerfile({ project, folder, stages, run }: Replay): Promise<string> {
  const isSent = readContext(readFileSync(path.join(project, '.dockerignore'), 'utf8'));
  const rootOf = (name: string) => path.join(folder, name);
  for (const stage of stages) {
    const root = rootOf(stage.name);
    mkdirSync(root, { recursive: true });
    const environment: Record<string, string> = {};
    let cwd = root;
    for (const { keyword, value } of stage.instructions) {
      if (keyword === 'WORKDIR') {
        cwd = path.join(root, value);
        mkdirSync(cwd, { recursive: true });
      } else if (keyword === 'ENV') {
        const [, name, text] = /^(\w+)=(\S*)$/.exec(value) ?? [];
        if (!name) throw new Error(`an ENV that is not known here: ${value}`);
        environment[name] = text!;
      } else if (keyword === 'COPY') copy(value, cwd);
      else if (keyword === 'RUN') await run(value, cwd, environment, stage);
    }
  }
  return rootOf(stages.at(-1)!.name);

  function copy(value: string, cwd: string): void {
    const [, from, rest] = /^(?:--from=(\S+) )?([^-].*)$/.exec(value) ?? [];
    const paths = rest?.split(/\s+/) ?? [];
    const target = paths.pop();
    if (!target || paths.length === 0) throw new Error(`a COPY that is not known here: ${value}`);
    const source = from ? rootOf(from) : project;
    for (const name of paths) {
      const file = path.join(source, name);
      const relative = path.relative(project, file);
      if (!existsSync(file) || !(from || hasSent(relative))) throw new Error(`COPY ${value}: ${name} is not there`);
      const place = path.join(
        cwd,
        target.endsWith('/') && !statSync(file).isDirectory() ? target + path.basename(name) : target,
      );
      cpSync(file, place, {
        recursive: true,
        filter: (part) => from !== undefined || hasSent(path.relative(project, part)),
      });
    }
  }

  /** Also a folder of which only something within is sent. */
  function hasSent(file: string): boolean {
    if (isSent(file)) return true;
    const place = path.join(project, file);
    return statSync(place).isDirectory() && readdirSync(place).some((name) => hasSent(path.join(file, name)));
  }
}

/** Takes the right to write from everything in a folder, as a file system that is mounted read-only does; or gives it back. */
export function setReadOnly(folder: string, isReadOnly: boolean): void {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(
    (entry) => !entry.isSymbolicLink(),
  );
  const places = [folder, ...entries.map(({ parentPath, name }) => path.join(parentPath, name))];
  for (const place of places) {
    const { mode } = statSync(place);
    chmodSync(place, isReadOnly ? mode & ~0o222 : mode | 0o200);
  }
}
