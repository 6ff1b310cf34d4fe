import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const OWN_FILES = ['index.html', 'docs.css', 'docs.js'];
const SWAGGER_UI_FILES = {
  'swagger-ui.css': 'swagger-ui.css',
  'swagger-ui-bundle.js': 'swagger-ui-bundle.js',
  'favicon-32x32.png': 'favicon.png',
  // Whoever hands on the code is asked to hand these on too.
  'swagger-ui-bundle.js.LICENSE.txt': 'swagger-ui-bundle.js.LICENSE.txt',
  LICENSE: 'swagger-ui.LICENSE.txt',
  NOTICE: 'swagger-ui.NOTICE.txt',
};

/** Writes the page of GET /docs, index.html and its assets, into `outDir`, which is made when it is not there. */
export async function buildDocsPage(outDir: string): Promise<void> {
  await mkdir(outDir, { recursive: true });
  const own = OWN_FILES.map((name) => copyFile(path.join(import.meta.dirname, name), path.join(outDir, name)));
  const theirs = Object.entries(SWAGGER_UI_FILES).map(async ([from, to]) => {
    const content = await readFile(fileURLToPath(import.meta.resolve(`swagger-ui-dist/${from}`)));
    await writeFile(path.join(outDir, to), withoutSourceMap(to, content));
  });
  await Promise.all([...own, ...theirs]);
}

/** The maps are larger than the files and not served, so nobody should be sent to them. */
function withoutSourceMap(name: string, content: Buffer): Buffer | string {
  if (!/\.(?:css|js)$/.test(name)) return content;
  return content.toString().replace(/\n?(?:\/\/|\/\*)# sourceMappingURL=\S+(?: ?\*\/)?\s*$/, '\n');
}
