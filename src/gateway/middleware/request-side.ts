import { METHODS, type OpenApi, type Operation } from '../contract.ts';

/**
 * The document without what only tells of answers, which is most of it: the validator goes through all that it is given
 * for each operation, and keeps it.
 */
export function requestSide(document: OpenApi): OpenApi {
  const paths = Object.entries(document.paths).map(([path, item]) => {
    const operations = METHODS.flatMap((method) => (item[method] ? [[method, withoutAnswers(item[method])]] : []));
    return [path, { ...item, ...Object.fromEntries(operations) }];
  });
  const { schemas, headers, responses, ...components } = document.components;
  const asked = { ...document, paths: Object.fromEntries(paths), components };
  return { ...asked, components: { ...components, schemas: pickReferenced(schemas, asked) } };
}

function withoutAnswers({ responses, ...asked }: Operation): Operation {
  return asked;
}

type Schemas = OpenApi['components']['schemas'];

/** Those of `schemas` that `from` refers to, directly or through one another. */
function pickReferenced(schemas: Schemas, from: object, picked: Record<string, object> = {}): Schemas {
  for (const [, name] of JSON.stringify(from).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
    if (picked[name!] || !schemas[name!]) continue;
    picked[name!] = schemas[name!]!;
    pickReferenced(schemas, schemas[name!]!, picked);
  }
  return picked;
}
