import { startPage } from './page.js';
import { watchWithFetch } from './watch-with-fetch.js';

startPage(watchWithFetch);
