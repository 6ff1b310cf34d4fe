import { it } from 'node:test';
import { fuzz } from '../chaos/http2/fuzz.ts';

it('direct survives damaged answers, and never mixes them up', () => fuzz({ runs: 250 }));
