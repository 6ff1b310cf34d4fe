import { bundlePrograms } from './bundled-programs.ts';
import { prepareTemplate } from './postgres-template.ts';

/** Makes once, before all test files, what each of them would have to make: for `node --test-global-setup`. */
export async function globalSetup(): Promise<void> {
  await Promise.all([bundlePrograms(), prepareTemplate()]);
}
