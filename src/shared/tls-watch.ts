import { createSecureContext, type SecureContext } from 'node:tls';
import type { Log } from './log.ts';
import { checkTlsTexts, readTlsFiles, readTlsTexts, TLS_LIMITS, type TlsFiles, type TlsMaterial } from './tls-files.ts';

/** Time between two looks at the files, in milliseconds. */
const LOOK_MS = 2_000;
/** From when on the end of a certificate is warned of, in milliseconds. */
const SOON_MS = 14 * 86_400_000;

export interface TlsWatch {
  readonly current: () => TlsMaterial;
  /** For connections that we open: the other end is asked for a certificate, and ours is shown. */
  readonly secureContext: () => SecureContext;
  readonly close: () => void;
}

interface WatchParts {
  readonly log: Log;
  /** Called with what is used from now on. */
  readonly onChange?: (material: TlsMaterial) => void;
  /** Told when our certificate ends, in milliseconds since 1970: at first, and of each that is new. */
  readonly onExpiry?: (endsAtMs: number) => void;
  readonly lookMs?: number;
}

/**
 * Reads the files now, and again and again, by their content: whoever renews them may write them, or swap a link to their
 * folder. What is new and good is used from then on; what is broken is told once, and the old goes on. Throws a StartupError.
 */
export function watchTlsFiles(
  files: TlsFiles,
  { log, onChange = () => {}, onExpiry = () => {}, lookMs = LOOK_MS }: WatchParts,
): TlsWatch {
  const names = Object.values(files).flatMap((file) => (file ? [file.variable] : []));
  let material = readTlsFiles(files);
  let context = createContext(material);
  /** What was wrong at the last look. */
  let fault: string | undefined;
  let isTold = false;

  function tellEnd(): void {
    const { expiresAtMs } = material;
    if (expiresAtMs === undefined) return;
    onExpiry(expiresAtMs);
    if (expiresAtMs - Date.now() > SOON_MS) return;
    const message = expiresAtMs > Date.now() ? 'a certificate ends soon' : 'a certificate has ended';
    log.warn({ variable: files.cert?.variable, expires_at: new Date(expiresAtMs).toISOString() }, message);
  }

  function look(): void {
    try {
      const texts = readTlsTexts(files);
      const isNew = texts.cert !== material.cert || texts.key !== material.key || texts.ca !== material.ca;
      const found = isNew ? checkTlsTexts(files, texts) : material;
      fault = undefined;
      isTold = false;
      if (!isNew) return;
      context = createContext(found);
      material = found;
      log.info({ variables: names }, 'certificates were read again');
      onChange(material);
      tellEnd();
    } catch (error) {
      const { message } = error as Error;
      // Between two files of a pair that are written one after the other they do not match: that passes.
      if (message === fault && !isTold) {
        log.error({ err: error }, 'new certificates cannot be used, so the old ones stay');
        isTold = true;
      }
      if (message !== fault) isTold = false;
      fault = message;
    }
  }

  tellEnd();
  const timer = setInterval(look, lookMs).unref();
  return {
    current: () => material,
    secureContext: () => context,
    close: () => clearInterval(timer),
  };
}

function createContext({ cert, key, ca }: TlsMaterial): SecureContext {
  return createSecureContext({ ...TLS_LIMITS, ...(cert && key && { cert, key }), ...(ca && { ca }) });
}
