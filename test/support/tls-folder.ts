import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

export type TlsFolder = ReturnType<typeof createTlsFolder>;

/** A temporary folder for PEM files. */
export function createTlsFolder() {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'foldforge-tls-'));
  return {
    path: (name: string) => path.join(folder, name),
    /** Answers with the path. */
    write(name: string, text: string): string {
      writeFileSync(path.join(folder, name), text);
      return path.join(folder, name);
    },
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}
