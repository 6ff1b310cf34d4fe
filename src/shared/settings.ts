import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { customCleanEnv, EnvError, makeExactValidator, type RequiredValidatorSpec } from 'envalid';
import { EX_CONFIG, StartupError } from './startup-error.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** One setting: how its text is read, its default as an operator would write it, and what it means (for the docs). */
export type Setting<T> = RequiredValidatorSpec<T> & {
  readonly defaultText: string;
  readonly desc: string;
  /** Secrets are never printed, and may come from the file that `<NAME>_FILE` names. */
  readonly secret: boolean;
};

export type Settings = Readonly<Record<string, Setting<unknown>>>;
export type Values<S extends Settings> = { readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : never };

/** Makes a setting out of a parser that throws an Error whose message completes the sentence "NAME …". */
export function setting<T>(parse: (text: string) => T, defaultText: string, desc: string, secret = false): Setting<T> {
  const validator = makeExactValidator<T>((text) => {
    try {
      return parse(text.trim());
    } catch (error) {
      throw new EnvError((error as Error).message);
    }
  });
  const spec = validator({ default: parse(defaultText) as NonNullable<T>, desc });
  return Object.assign(spec as RequiredValidatorSpec<T>, { defaultText, desc, secret });
}

/**
 * Reads every setting of one program from the variables with its prefix.
 * Throws a StartupError (exit code 78) that names each bad, unknown or doubly given variable, and never a secret.
 */
export function readSettings<S extends Settings>(prefix: string, settings: S, environment: Environment): Values<S> {
  const faults: string[] = [];
  const texts: Record<string, string> = {};
  for (const [variable, text] of Object.entries(environment)) {
    if (!variable.startsWith(prefix) || text === undefined) continue;
    const name = variable.slice(prefix.length);
    const fileOf = name.endsWith('_FILE') && isSecret(settings, name.slice(0, -5)) ? name.slice(0, -5) : undefined;
    if (Object.hasOwn(settings, name)) texts[name] = text;
    else if (!fileOf) faults.push(`${variable} is not a setting${nearest(name, prefix, settings)}`);
    else if (environment[prefix + fileOf] !== undefined) faults.push(`${variable} and ${prefix}${fileOf} are both set`);
    else {
      try {
        texts[fileOf] = readFileSync(text, 'utf8');
      } catch (error) {
        faults.push(`${variable} names a file that cannot be read (${(error as NodeJS.ErrnoException).code})`);
      }
    }
  }
  const values = customCleanEnv(texts, settings, (cleaned: unknown) => cleaned, {
    reporter: ({ errors }) => {
      for (const [name, error] of Object.entries(errors)) faults.push(`${prefix}${name} ${error?.message}`);
    },
  });
  if (faults.length > 0) throw new StartupError(faults.join('; '), EX_CONFIG);
  return { ...(values as Values<S>) };
}

function isSecret(settings: Settings, name: string): boolean {
  return Object.hasOwn(settings, name) && settings[name]!.secret;
}

function nearest(name: string, prefix: string, settings: Settings): string {
  const squeezed = name.replaceAll('_', '');
  const match = Object.keys(settings).find((known) => {
    const other = known.replaceAll('_', '');
    return other.startsWith(squeezed) || squeezed.startsWith(other);
  });
  return match ? ` (did you mean ${prefix}${match}?)` : '';
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

export function text(defaultText: string, desc: string): Setting<string> {
  return setting((value) => value, defaultText, desc);
}

export function secret(defaultText: string, desc: string): Setting<string> {
  return setting((value) => value, defaultText, desc, true);
}

/** Comma-separated, at least one unless `optional`, each of at least `minLength` characters. */
export function secretList(
  defaultText: string,
  desc: string,
  { optional = false, minLength = 1 } = {},
): Setting<readonly string[]> {
  const parse = (value: string) => {
    if (value === '' && optional) return [];
    const items = value.split(',').map((item) => item.trim());
    if (items.includes('')) throw new Error('has an empty entry; write the values with commas between them');
    if (items.some((item) => item.length < minLength)) {
      throw new Error(`has an entry of fewer than ${minLength} characters`);
    }
    return items;
  };
  return setting<readonly string[]>(parse, defaultText, desc, true);
}

export function flag(defaultText: 'true' | 'false', desc: string): Setting<boolean> {
  const parse = (value: string) => {
    if (value === 'true' || value === '1') return true;
    if (value === 'false' || value === '0') return false;
    throw new Error(`is "${value}", but must be true or false`);
  };
  return setting<boolean>(parse, defaultText, desc);
}

export function choice<const C extends string>(choices: readonly C[], defaultText: C, desc: string): Setting<C> {
  const parse = (value: string) => {
    const found = choices.find((known) => known === value);
    if (found !== undefined) return found;
    throw new Error(`is "${value}", but must be one of: ${choices.map((known) => known || '(empty)').join(', ')}`);
  };
  return setting<C>(parse, defaultText, desc);
}

/** A number in [min, max]; whole unless `fraction`. */
export function number(
  defaultText: string,
  desc: string,
  { min, max, fraction = false }: { min: number; max: number; fraction?: boolean },
): Setting<number> {
  const parse = (value: string) => {
    const parsed = /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : Number.NaN;
    if (parsed >= min && parsed <= max && (fraction || Number.isInteger(parsed))) return parsed;
    throw new Error(`is "${value}", but must be a ${fraction ? '' : 'whole '}number from ${min} to ${max}`);
  };
  return setting<number>(parse, defaultText, desc);
}

/** Seconds, as milliseconds. Fractions are allowed, so that tests can be quick. */
export function seconds(defaultText: string, desc: string, { min = 0.05, max = 86_400 } = {}): Setting<number> {
  const inner = number(defaultText, desc, { min, max, fraction: true });
  return setting<number>((value) => Math.round(inner._parse(value) * 1000), defaultText, desc);
}

/** host:port, with an IPv6 host in brackets. */
export function address(defaultText: string, desc: string): Setting<Address> {
  const parse = (value: string) => {
    const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(value);
    const port = Number(match?.[3]);
    if (!match || port > 65_535) throw new Error(`is "${value}", but must be host:port, such as 127.0.0.1:8080`);
    return { host: (match[1] ?? match[2])!, port };
  };
  return setting<Address>(parse, defaultText, desc);
}

/** Comma-separated origins as browsers send them: scheme, host and port, nothing else; none of them twice. */
export function originList(desc: string): Setting<readonly string[]> {
  const parse = (value: string) => {
    const origins = listOf(value);
    for (const origin of origins) {
      const url = URL.canParse(origin) ? new URL(origin) : undefined;
      if (!url || !/^https?:$/.test(url.protocol) || url.origin !== origin) {
        throw new Error(`has "${origin}", which is no origin such as https://app.example.org`);
      }
    }
    if (new Set(origins).size < origins.length) throw new Error('has an origin twice');
    return origins;
  };
  return setting<readonly string[]>(parse, '', desc);
}

/** Comma-separated names or addresses of hosts, as a URL has them, without a port, in lower case. */
export function hostList(desc: string): Setting<readonly string[]> {
  const parse = (value: string) =>
    listOf(value).map((entry) => {
      const url = URL.canParse(`http://${entry}`) ? new URL(`http://${entry}`) : undefined;
      if (url && url.host === url.hostname && url.hostname === entry.toLowerCase()) return url.hostname;
      throw new Error(`has "${entry}", which is no host name such as api.example.org`);
    });
  return setting<readonly string[]>(parse, '', desc);
}

/** Comma-separated IP addresses, and networks in CIDR notation (RFC 4632, RFC 4291), each as `address/bits`. */
export function networkList(desc: string): Setting<readonly string[]> {
  const parse = (value: string) =>
    listOf(value).map((entry) => {
      const [address = '', prefix, ...rest] = entry.split('/');
      const longest = isIP(address) === 6 ? 128 : 32;
      const bits = prefix === undefined ? longest : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN;
      if (isIP(address) !== 0 && rest.length === 0 && bits <= longest) return `${address}/${bits}`;
      throw new Error(`has "${entry}", which is no address or network such as 10.0.0.0/8`);
    });
  return setting<readonly string[]>(parse, '', desc);
}

function listOf(value: string): string[] {
  return value === '' ? [] : value.split(',').map((entry) => entry.trim());
}

/** An http or https URL without user, query or fragment; empty when `optional`. No slash at its end. */
export function httpUrl(defaultText: string, desc: string, { optional = false } = {}): Setting<string> {
  const parse = (value: string) => {
    if (value === '' && optional) return '';
    const url = URL.canParse(value) ? new URL(value) : undefined;
    const plain = url && /^https?:$/.test(url.protocol) && !url.username && !url.password && !url.search && !url.hash;
    if (!plain) throw new Error('must be an http:// or https:// URL without user, query or fragment');
    return value.replace(/\/+$/, '');
  };
  return setting<string>(parse, defaultText, desc);
}
