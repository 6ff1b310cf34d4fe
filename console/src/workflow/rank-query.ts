import type { ApiFault, RankRequest } from '../api.ts';

/** What stands in the fields of the ranking, as texts. */
export interface RankFields {
  readonly metric: string;
  readonly order: 'best' | 'highest' | 'lowest';
  readonly filters: readonly FilterFields[];
  readonly topK: string;
}

export interface FilterFields {
  readonly metric: string;
  readonly min: string;
  readonly max: string;
}

/** Sentences by the place of the field, as in `metric`, `filters/0/min`, `top_k`; `''` is for those of no field. */
export type FieldFaults = Readonly<Record<string, string>>;

/** What the fields ask the API for, or what is wrong with them. An empty field asks for nothing. */
export function toRankRequest(
  fields: RankFields,
): { readonly request: RankRequest } | { readonly faults: FieldFaults } {
  const faults: Record<string, string> = {};
  const read = (place: string, text: string): number | undefined => {
    if (text.trim() === '') return undefined;
    const value = Number(text);
    if (Number.isFinite(value)) return value;
    faults[place] = 'This is not a number.';
    return undefined;
  };
  if (fields.metric === '') faults.metric = 'Choose a metric.';
  const filters = fields.filters.map(({ metric, ...texts }, index) => {
    const min = read(`filters/${index}/min`, texts.min);
    const max = read(`filters/${index}/max`, texts.max);
    if (min !== undefined && max !== undefined && min > max) {
      faults[`filters/${index}/max`] = 'This is less than the minimum.';
    }
    return { metric, ...(min !== undefined && { min }), ...(max !== undefined && { max }) };
  });
  const topK = read('top_k', fields.topK);
  if (topK !== undefined && !(Number.isInteger(topK) && topK >= 0))
    faults.top_k = 'Give a whole number, or leave it empty.';
  if (Object.keys(faults).length > 0) return { faults };
  return {
    request: {
      metric: fields.metric,
      ...(fields.order !== 'best' && { maximize: fields.order === 'highest' }),
      ...(filters.length > 0 && { filters }),
      ...(topK !== undefined && { top_k: topK }),
    },
  };
}

/** Which fields the gateway has found fault with: its pointers are places in the request. */
export function toFieldFaults({ message, errors = [] }: Pick<ApiFault, 'message' | 'errors'>): FieldFaults {
  const faults: Record<string, string> = {};
  for (const { pointer, message: reason } of errors) {
    const place = pointer.replace(/^#?\//, '');
    const isField = /^(?:metric|top_k|filters\/\d+\/(?:metric|min|max))$/.test(place);
    const where = isField ? place : '';
    faults[where] = faults[where] === undefined ? reason : `${faults[where]}; ${reason}`;
  }
  if (Object.keys(faults).length === 0) faults[''] = message;
  return faults;
}
