import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

const METHODS = ['get', 'head', 'post', 'put', 'patch', 'delete'] as const;

export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly schema?: { readonly type?: string };
}

export interface Operation {
  readonly operationId: string;
  readonly requestBody?: object;
  readonly security?: readonly object[];
  readonly parameters?: readonly (Parameter | { readonly $ref: string })[];
}

type PathItem = { readonly [M in (typeof METHODS)[number]]?: Operation } & Pick<Operation, 'parameters'>;

/** The part of an OpenAPI 3.1 document that the gateway itself reads. */
export interface OpenApi {
  readonly info: { readonly version: string };
  readonly paths: Readonly<Record<string, PathItem>>;
  readonly components: { readonly parameters: Readonly<Record<string, Parameter>> };
}

/** openapi.yaml as clients get it; `document()` is a fresh copy, because the validator writes into its own. */
export interface Contract {
  readonly version: string;
  readonly yaml: string;
  readonly json: string;
  readonly document: () => OpenApi;
}

export function readContract(file: URL): Contract {
  const yaml = readFileSync(file, 'utf8');
  const parsed: OpenApi = parse(yaml);
  return { version: parsed.info.version, yaml, json: JSON.stringify(parsed), document: () => structuredClone(parsed) };
}

/** Every operation with its method in capitals, its path template, and its parameters with references followed. */
export function listOperations(document: OpenApi) {
  return Object.entries(document.paths).flatMap(([path, item]) =>
    METHODS.flatMap((method) => {
      const operation = item[method];
      if (!operation) return [];
      const parameters = [...(item.parameters ?? []), ...(operation.parameters ?? [])].map((parameter) =>
        '$ref' in parameter ? document.components.parameters[parameter.$ref.split('/').at(-1)!]! : parameter,
      );
      return [{ method: method.toUpperCase(), path, operation, parameters }];
    }),
  );
}
