import { chmodSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

export type KubernetesVolume = ReturnType<typeof createKubernetesVolume>;

/**
 * A folder as the kubelet lays out a volume of Secrets and ConfigMaps: the files are in a folder of their own, `..data` leads
 * there, and each file's name leads to the one in `..data`. The names never change; `..data` is swapped for all files at once.
 */
export function createKubernetesVolume() {
  const root = mkdtempSync(path.join(os.tmpdir(), 'foldforge-volume-'));
  const inRoot = (name: string) => path.join(root, name);
  let current: string | undefined;
  let versions = 0;
  return {
    path: inRoot,
    /** What is in the volume from now on, by name. */
    write(files: Readonly<Record<string, string>>): void {
      const folder = `..2026_11_21_12_00_00.${++versions}`;
      mkdirSync(inRoot(folder));
      for (const [name, text] of Object.entries(files)) {
        writeFileSync(inRoot(path.join(folder, name)), text);
        chmodSync(inRoot(path.join(folder, name)), 0o440);
      }
      symlinkSync(folder, inRoot('..data_tmp'));
      renameSync(inRoot('..data_tmp'), inRoot('..data'));
      for (const name of Object.keys(files)) {
        if (!existsSync(inRoot(name))) symlinkSync(path.join('..data', name), inRoot(name));
      }
      if (current) rmSync(inRoot(current), { recursive: true });
      current = folder;
    },
    close: () => rmSync(root, { recursive: true, force: true }),
  };
}
