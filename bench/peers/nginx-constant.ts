import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { becomeNginx } from '../support/become-nginx.ts';
import type { ConstantAnswers } from './node-http.ts';

// nginx with the same answers as node-http: what an HTTP server can cost at all. The arguments are the program, a folder of its
// own, and a JSON file with the answers. This process becomes nginx, so that whoever measures or ends the one has the other.

const [program, folder, file] = process.argv.slice(2);
if (!(program && folder && file)) {
  throw new Error('the arguments are the program, a folder of its own, and a JSON file with the answers');
}
const { get, list, post }: ConstantAnswers = JSON.parse(readFileSync(file, 'utf8'));
// Too long for a directive.
writeFileSync(path.join(folder, 'list.json'), list);

await becomeNginx(program, folder, (port) => [
  'keepalive_requests 1000000000;',
  `server {
    listen 127.0.0.1:${port};
    default_type application/json;
    location = /v1/workflows {
      if ($request_method = POST) { return 201 ${quote(post)}; }
      alias ${path.join(folder, 'list.json')};
    }
    location / { return 200 ${quote(get)}; }
  }`,
]);

/** Throws for what would be a variable in a configuration. */
function quote(text: string): string {
  if (text.includes('$')) throw new Error('nginx cannot answer a text with $ in it');
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
