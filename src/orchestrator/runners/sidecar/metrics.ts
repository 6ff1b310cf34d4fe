import { cleanText } from './clean-text.ts';

const FLOAT_DIGITS = 9;

/** The shortest decimal number that is this float: 0.9 was sent as a float, and came as 0.8999999761581421. */
export function fromFloat(value: number): number {
  for (let digits = 1; digits < FLOAT_DIGITS; digits++) {
    const shorter = Number(value.toPrecision(digits));
    if (Math.fround(shorter) === value) return shorter;
  }
  return value;
}

/** Metrics as they are stored: JSON has neither NaN nor infinities, so those are left out. */
export function finiteMetrics(metrics: Readonly<Record<string, number>>): Record<string, number> {
  const finite = Object.entries(metrics).filter(([name, value]) => Number.isFinite(value) && name !== '__proto__');
  return Object.fromEntries(finite.map(([name, value]) => [cleanText(name), value]));
}
