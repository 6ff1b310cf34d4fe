import assert from 'node:assert/strict';
import { createHash, randomInt } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { listViews } from './text-views.ts';

/** Where something can come out. `trace`: the spans that are exported. */
export type Place = 'body' | 'header' | 'log' | 'metrics' | 'trace' | 'orchestrator' | 'store' | 'stripe' | 'stdout';

/** Where a canary may appear, and where it must, so that the test that looks for it can fail. Nowhere else. */
export interface Rule {
  readonly may?: readonly Place[];
  readonly must?: readonly Place[];
}

export const NOWHERE: Rule = {};

const LONG = 4_096;

interface Canary extends Rule {
  readonly name: string;
  /** A piece of the text around each first sighting. */
  readonly seen: Map<Place, string>;
}

export type Canaries = ReturnType<typeof createCanaries>;

/**
 * Recognisable secrets, each with a rule. All of them begin with one marker and their number, lower-case letters and
 * digits that survive any encoding, so that one look finds them all, also where most of one is cut off.
 */
export function createCanaries() {
  const marker = `cnry${randomText(4, 36)}`;
  const sighting = new RegExp(`${marker}([0-9a-z]{3})?`, 'g');
  const planted = new Map<string, Canary>();
  /** Texts that are not ours to choose, such as hashes. */
  const needles = new Map<string, Canary>();
  /** Long texts that come again and again. */
  const scanned = new Set<string>();
  const complaints = new Set<string>();
  const cutOff: Canary = { name: 'a canary that is cut off', seen: new Map() };

  function add(name: string, rule: Rule): { readonly canary: Canary; readonly text: string } {
    const number = planted.size.toString(36).padStart(3, '0');
    const canary = { name, seen: new Map(), ...rule };
    planted.set(number, canary);
    return { canary, text: marker + number };
  }

  const all = () => [...new Set([cutOff, ...planted.values(), ...needles.values()])];

  function note(canary: Canary, place: Place, text: string, at: number): void {
    if (!canary.seen.has(place)) canary.seen.set(place, text.slice(Math.max(0, at - 120), at + 120));
  }

  return {
    marker,

    /** A new secret of 24 letters and digits: long enough for a key of anything. */
    plant(name: string, rule: Rule): string {
      return add(name, rule).text + randomText(13, 36);
    },

    /** A new API key with a good checksum, which carries the marker at both ends of its random part. */
    plantKey(name: string, rule: Rule): string {
      const { text } = add(name, rule);
      const body = `ffk_${text}${randomText(43 - 2 * text.length, 36)}${text}`;
      return `${body}_${base62(crc32(body)).padStart(6, '0')}`;
    },

    /** A text that somebody else has made. */
    watch(name: string, text: string, rule: Rule): void {
      const canary = { name, seen: new Map(), ...rule };
      needles.set(text.toLowerCase(), canary);
      needles.set(text.toLowerCase().replaceAll(/[^0-9a-z]/g, ''), canary);
    },

    /** The SHA-256 of a secret, however it is written. */
    watchHash(name: string, secret: string, rule: Rule): void {
      const digest = createHash('sha256').update(secret).digest();
      const canary = { name: `the hash of ${name}`, seen: new Map(), ...rule };
      for (const form of [digest.toString('hex'), digest.toString('base64url'), digest.toString('base64')]) {
        needles.set(form.replace(/=+$/, '').toLowerCase(), canary);
      }
    },

    /** Looks for every canary in what came out at `place`. */
    scan(place: Place, text: string): void {
      if (text.length > LONG) {
        if (scanned.has(place + text)) return;
        scanned.add(place + text);
      }
      for (const view of listViews(text)) {
        for (const match of view.matchAll(sighting)) {
          note(planted.get(match[1] ?? '') ?? cutOff, place, view, match.index);
        }
        for (const [needle, canary] of needles) {
          const at = view.indexOf(needle);
          if (at >= 0) note(canary, place, view, at);
        }
      }
    },

    /** Fails for each canary that was seen where it may not be, and was not complained of before. */
    checkLeaks(): void {
      const leaks = all().flatMap(({ name, seen, may = [], must = [] }) =>
        [...seen]
          .filter(([place]) => !may.includes(place) && !must.includes(place))
          .map(([place, around]) => `${name} leaks into ${place}: …${around}…`),
      );
      const fresh = leaks.filter((leak) => !complaints.has(leak));
      for (const leak of fresh) complaints.add(leak);
      assert.deepEqual(fresh, []);
    },

    /** Fails for each canary of such a name that was not seen where it must be. */
    checkSightings(names: RegExp): void {
      const missing = all()
        .filter(({ name }) => names.test(name))
        .flatMap(({ name, seen, must = [] }) =>
          must.filter((place) => !seen.has(place)).map((place) => `${name} is not in ${place}`),
        );
      assert.deepEqual(missing, []);
    },
  };
}

function randomText(length: number, radix: number): string {
  return Array.from({ length }, () => randomInt(radix).toString(radix)).join('');
}

function base62(value: number): string {
  const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
  let text = '';
  for (let rest = value; rest > 0; rest = Math.floor(rest / 62)) text = digits[rest % 62] + text;
  return text;
}
