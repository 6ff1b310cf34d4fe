import { startPage } from './page.js';
import { watchWithTicket } from './watch-with-ticket.js';

startPage(watchWithTicket);
