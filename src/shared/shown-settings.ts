import type { Environment, Settings } from './settings.ts';

/** A setting as it may be shown to anybody: what is secret is not in it. */
export interface ShownSetting {
  /** With the prefix. */
  readonly variable: string;
  readonly text: string;
  /** False: it has its default. */
  readonly given: boolean;
}

/** Every setting of a program as the environment has it; call it after readSettings, which finds what is wrong. */
export function showSettings(prefix: string, settings: Settings, environment: Environment): ShownSetting[] {
  return Object.entries(settings).map(([name, { defaultText, secret }]) => {
    const variable = prefix + name;
    const text = environment[variable];
    const file = secret ? environment[`${variable}_FILE`] : undefined;
    if (file !== undefined) return { variable, text: `[secret, from ${file}]`, given: true };
    if (text === undefined) return { variable, text: defaultText, given: false };
    return { variable, text: secret && text !== '' ? '[secret]' : text.trim(), given: true };
  });
}

/** For the log: each by its variable. */
export function settingsForLog(shown: readonly ShownSetting[]): Readonly<Record<string, string>> {
  return Object.fromEntries(shown.map(({ variable, text }) => [variable, text]));
}

/** A line for each, those with their default commented out, as in an environment file. */
export function settingsAsLines(shown: readonly ShownSetting[]): string {
  return shown.map(({ variable, text, given }) => `${given ? '' : '#'}${variable}=${text}\n`).join('');
}
