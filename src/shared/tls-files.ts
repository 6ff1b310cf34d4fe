import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { EX_CONFIG, StartupError } from './startup-error.ts';

/** A PEM file, and the variable that names it. */
interface NamedFile {
  readonly variable: string;
  readonly path: string;
}

/** What one end of TLS is made of; a certificate never without its key. */
export interface TlsFiles {
  /** The certificate to show, with its chain. */
  readonly cert?: NamedFile | undefined;
  readonly key?: NamedFile | undefined;
  /** The authorities that the other end's certificate may be from; undefined: those of the system. */
  readonly ca?: NamedFile | undefined;
}

export type TlsTexts = Readonly<Partial<Record<keyof TlsFiles, string>>>;

/** What stood in the files, as PEM. */
export interface TlsMaterial extends TlsTexts {
  /** When the certificate ends, since 1970. */
  readonly expiresAtMs?: number;
}

/** What every connection of ours asks for at least. */
export const TLS_LIMITS = { minVersion: 'TLSv1.2' } as const satisfies SecureContextOptions;

const CERTIFICATE = /-----BEGIN (?:TRUSTED )?CERTIFICATE-----.+?-----END (?:TRUSTED )?CERTIFICATE-----/gs;

/** The files that settings name, by the names of the settings; undefined when none is set. Throws a StartupError. */
export function nameTlsFiles<Name extends string>(
  prefix: string,
  values: Readonly<Record<Name, string>>,
  names: Readonly<Partial<Record<'cert' | 'key' | 'ca', Name>>>,
): TlsFiles | undefined {
  const named = (name: Name | undefined) =>
    name && values[name] ? { variable: prefix + name, path: values[name] } : undefined;
  const files = { cert: named(names.cert), key: named(names.key), ca: named(names.ca) };
  for (const [given, missing] of [
    ['cert', 'key'],
    ['key', 'cert'],
  ] as const) {
    if (!files[given] || files[missing]) continue;
    throw new StartupError(`${prefix}${names[given]} is set, so ${prefix}${names[missing]} must be set too`, EX_CONFIG);
  }
  return files.cert || files.ca ? files : undefined;
}

/** Reads the files. Throws a StartupError (exit code 78) that names the variable of one that cannot be used. */
export function readTlsFiles(files: TlsFiles): TlsMaterial {
  return checkTlsTexts(files, readTlsTexts(files));
}

/** What stands in the files, whatever it is. Throws a StartupError. */
export function readTlsTexts({ cert, key, ca }: TlsFiles): TlsTexts {
  return {
    ...(cert && { cert: readText(cert) }),
    ...(key && { key: readText(key) }),
    ...(ca && { ca: readText(ca) }),
  };
}

/** Whether what stood in the files can be used. Throws a StartupError. */
export function checkTlsTexts(files: TlsFiles, texts: TlsTexts): TlsMaterial {
  if (files.ca) readCertificates(files.ca, texts.ca!);
  if (!files.cert || !files.key) return texts;
  const [own] = readCertificates(files.cert, texts.cert!);
  if (!own!.checkPrivateKey(readKey(files.key, texts.key!))) {
    const message = `${files.key.variable} is not the key of the certificate in ${files.cert.variable}`;
    throw new StartupError(message, EX_CONFIG);
  }
  try {
    createSecureContext({ cert: texts.cert!, key: texts.key!, ...TLS_LIMITS });
  } catch (error) {
    // Such as a key that is too short to be safe.
    throw new StartupError(`${files.cert.variable} cannot be used: ${(error as Error).message}`, EX_CONFIG);
  }
  return { ...texts, expiresAtMs: own!.validToDate.getTime() };
}

function readText({ variable, path }: NamedFile): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new StartupError(`${variable} names a file that cannot be read (${code})`, EX_CONFIG);
  }
}

/** At least one, the first being the one that the others vouch for. */
function readCertificates({ variable }: NamedFile, pem: string): X509Certificate[] {
  const blocks = pem.match(CERTIFICATE);
  if (!blocks) throw new StartupError(`${variable} names a file without a certificate in PEM`, EX_CONFIG);
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch {
      throw new StartupError(`${variable} names a file whose certificate ${index + 1} is damaged`, EX_CONFIG);
    }
  });
}

// What OpenSSL says of it is not repeated: it is about a secret.
function readKey({ variable }: NamedFile, pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    const fault = /ENCRYPTED/.test(pem)
      ? 'is encrypted; there is nobody to ask for its passphrase'
      : 'is no private key in PEM';
    throw new StartupError(`${variable} names a file that ${fault}`, EX_CONFIG);
  }
}
