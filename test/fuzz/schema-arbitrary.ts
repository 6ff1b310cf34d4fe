import fc from 'fast-check';

/** The part of JSON Schema that openapi.yaml uses for requests. */
export interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly uniqueItems?: boolean;
  readonly items?: Schema;
  readonly maxProperties?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly propertyNames?: Schema;
  readonly additionalProperties?: boolean | Schema;
}

const MEMBERS = 4;
const PARAMS_DEPTH = 4;

/** Text that no layer has a reason to refuse: whole Unicode characters, but none of C0, which a database may not take. */
const text = (minLength = 0, maxLength?: number) =>
  fc
    .string({ unit: 'binary', minLength, maxLength: maxLength ?? minLength + 40 })
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is left out.
    .map((value) => value.replaceAll(/[\x00-\x1f\x7f]/g, '~'));

/** Turns schemas of the document into arbitraries of what they allow. `named` are used in place of what they name. */
export function createArbitraries(document: object, named: Readonly<Record<string, fc.Arbitrary<unknown>>>) {
  function arbitraryOf(schema: Schema): fc.Arbitrary<unknown> {
    if (schema.$ref) {
      const name = schema.$ref.split('/').at(-1)!;
      return named[name] ?? arbitraryOf(follow(schema.$ref));
    }
    if (schema.enum) return fc.constantFrom(...schema.enum);
    switch (schema.type) {
      case 'string':
        return textOf(schema);
      case 'integer':
        return fc.integer({ min: schema.minimum ?? -(2 ** 31), max: schema.maximum ?? 2 ** 31 - 1 });
      case 'number':
        return fc.double({ noNaN: true, noDefaultInfinity: true, min: schema.minimum, max: schema.maximum });
      case 'boolean':
        return fc.boolean();
      case 'array':
        return listOf(schema);
      case 'object':
        return objectOf(schema);
      default:
        throw new Error(`no arbitrary for the schema ${JSON.stringify(schema)}`);
    }
  }

  function textOf({ pattern, minLength, maxLength }: Schema): fc.Arbitrary<string> {
    if (pattern === undefined) return text(minLength, maxLength);
    const matcher = new RegExp(pattern, 'u');
    const fits = (value: string) => {
      const length = [...value].length;
      return matcher.test(value) && length >= (minLength ?? 0) && length <= (maxLength ?? Number.POSITIVE_INFINITY);
    };
    // fast-check writes no text for a pattern that looks around.
    const source = /\(\?[!=<]/.test(pattern)
      ? text(minLength, maxLength).map((value) => value.replaceAll('=', '-'))
      : fc.stringMatching(matcher);
    return source.filter(fits);
  }

  function listOf({ items = {}, minItems, maxItems, uniqueItems }: Schema): fc.Arbitrary<unknown[]> {
    const limits = { ...(minItems !== undefined && { minLength: minItems }), maxLength: maxItems ?? 8 };
    const item = arbitraryOf(items);
    return uniqueItems ? fc.uniqueArray(item, limits) : fc.array(item, limits);
  }

  function objectOf(schema: Schema): fc.Arbitrary<object> {
    const { properties = {}, required = [], additionalProperties: others, propertyNames } = schema;
    const known = Object.fromEntries(Object.entries(properties).map(([name, member]) => [name, arbitraryOf(member)]));
    const record = fc.record(known, { requiredKeys: [...required] as string[] });
    if (others === undefined || others === false) return record;
    const names = (propertyNames ? textOf(propertyNames) : text(0, 20)).filter(
      (name) => name !== '__proto__' && !Object.hasOwn(properties, name),
    );
    const more = fc.dictionary(names, others === true ? anything : arbitraryOf(others), { maxKeys: MEMBERS });
    return fc.tuple(record, more).map(([own, added]) => ({ ...own, ...added }));
  }

  function follow(pointer: string): Schema {
    const parts = pointer.slice('#/'.length).split('/');
    return parts.reduce<object>((node, part) => (node as Record<string, object>)[part]!, document) as Schema;
  }

  return { arbitraryOf };
}

/** Any JSON, of a few levels. */
const anything: fc.Arbitrary<unknown> = fc.letrec<{ node: unknown }>((tie) => ({
  node: fc.oneof(
    { maxDepth: PARAMS_DEPTH, withCrossShrink: true },
    fc.oneof(
      fc.constant(null),
      fc.boolean(),
      fc.integer(),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      text(),
    ),
    fc.array(tie('node'), { maxLength: MEMBERS }),
    fc.dictionary(
      text(0, 12).filter((name) => name !== '__proto__'),
      tie('node'),
      { maxKeys: MEMBERS },
    ),
  ),
})).node;
