/** A secret of each kind, as the programs take them. */
const SECRETS: Readonly<Record<string, string>> = {
  API_TOKEN: 'a-token-of-our-own',
  STREAM_TICKET_SECRETS: 'x'.repeat(32),
  DATABASE_URL: 'postgresql://foldforge:secret@postgres:5432/foldforge',
  R2_ACCESS_KEY_ID: 'an-id',
  R2_SECRET_ACCESS_KEY: 'a-key',
};

/**
 * The environment of a container as its program would read it, but with the secrets themselves in place of the files that
 * have them. `hasFile` says whether the container is given a file.
 */
export function withSecrets(
  environment: Readonly<Record<string, string>>,
  hasFile: (file: string) => boolean,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).map(([variable, value]) => {
      if (!variable.endsWith('_FILE')) return [variable, value];
      if (!hasFile(value)) throw new Error(`${variable} names ${value}, which the container does not have`);
      const name = variable.replace(/^FOLDFORGE_\w+?__(\w+)_FILE$/, '$1');
      const secret = SECRETS[name];
      if (secret === undefined) throw new Error(`${variable} is no secret of ours`);
      return [variable.slice(0, -'_FILE'.length), secret];
    }),
  );
}
