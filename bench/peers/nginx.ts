import { becomeNginx } from '../support/become-nginx.ts';

// nginx as the peer of artifact downloads: everything that is asked of it, it passes on to the object store. This process
// becomes nginx, so that whoever measures or ends the one has the other.

const [file, folder, storePort] = process.argv.slice(2);
if (!(file && folder && storePort)) {
  throw new Error('the arguments are the program, a folder of its own, and the port of the store');
}

// Like the gateway it writes no temporary files, and keeps its connections to the store. All else is nginx's default.
await becomeNginx(file, folder, (port) => [
  'sendfile on; tcp_nopush on; keepalive_requests 1000000;',
  `upstream store { server 127.0.0.1:${storePort}; keepalive 16; keepalive_requests 1000000; }`,
  `server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://store;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_max_temp_file_size 0;
    }
  }`,
]);
