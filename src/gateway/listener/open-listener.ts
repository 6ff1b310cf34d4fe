import { drain, listen } from '../../shared/listen.ts';
import type { Log } from '../../shared/log.ts';
import { watchTlsFiles } from '../../shared/tls-watch.ts';
import { listenerTls } from '../config.ts';
import type { Metrics } from '../metrics.ts';
import { createServer } from './create-server.ts';
import { serverOptions } from './limits.ts';
import { createListener, type ListenerParts } from './listener.ts';

/** Connections that are accepted in one turn of the event loop. */
const ACCEPTORS = 8;

interface OpenListenerParts extends ListenerParts {
  readonly metrics: ListenerParts['metrics'] & Pick<Metrics, 'certificateExpiry'>;
  readonly log: Log;
}

export interface OpenListener {
  readonly port: number;
  /** Lets what is under way finish, and cuts what is left after `graceMs`; `onCut` is called before, if anything is left. */
  readonly drain: (graceMs: number, onCut: () => void) => Promise<void>;
  /** To be called when it is drained. */
  readonly close: () => void;
}

/** Opens the port that the settings name, with their limits and their certificate. Throws a StartupError. */
export async function openListener(parts: OpenListenerParts): Promise<OpenListener> {
  const { config, metrics, log } = parts;
  const listener = createListener(parts);
  const files = listenerTls(config);
  const onExpiry = (endsAtMs: number) => metrics.certificateExpiry.set({ certificate: 'listener' }, endsAtMs / 1000);
  const { server, sessions, close } = createServer({
    options: serverOptions(config),
    limits: {
      headerBytes: config.HEADER_LIMIT_BYTES,
      headerCount: config.HEADER_LIMIT_COUNT,
      headerMs: config.HEADER_TIMEOUT_SECONDS,
      bodyMs: config.BODY_TIMEOUT_SECONDS,
      idleMs: config.IDLE_TIMEOUT_SECONDS,
      sendMs: config.SEND_TIMEOUT_SECONDS,
      maxRequests: config.CONNECTION_MAX_REQUESTS,
    },
    onRequest: listener.onRequest,
    onStream: listener.onStream,
    watch: files && ((onChange) => watchTlsFiles(files, { log, onChange, onExpiry })),
  });
  listener.attach(server);
  return {
    port: await listen(server, config.BIND_ADDR, { acceptors: config.WORKERS === 1 ? ACCEPTORS : 1 }),
    drain: (graceMs, onCut) => drain(server, graceMs, onCut, sessions),
    close() {
      close();
      listener.close();
    },
  };
}
