import { readFileSync } from 'node:fs';
import { specToJson } from './spec-json.ts';

export const METHODS = ['get', 'head', 'post', 'put', 'patch', 'delete'] as const;

export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly schema?: { readonly type?: string };
}

export interface Operation {
  readonly operationId: string;
  readonly requestBody?: object;
  readonly security?: readonly Readonly<Record<string, readonly string[]>>[];
  readonly parameters?: readonly (Parameter | { readonly $ref: string })[];
  readonly responses?: object;
}

type PathItem = { readonly [M in (typeof METHODS)[number]]?: Operation } & Pick<Operation, 'parameters'>;

/** The part of an OpenAPI 3.1 document that the gateway itself reads. */
export interface OpenApi {
  readonly info: { readonly version: string };
  readonly paths: Readonly<Record<string, PathItem>>;
  readonly components: {
    readonly parameters: Readonly<Record<string, Parameter>>;
    readonly schemas: Readonly<Record<string, object>>;
    readonly headers?: object;
    readonly responses?: object;
  };
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
  const json = specToJson(yaml);
  const document = (): OpenApi => JSON.parse(json);
  return { version: document().info.version, yaml, json, document };
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

/** What an operation asks of its caller. */
export interface Access {
  /** Names of security schemes, of which one is enough; none: it is for everybody. */
  readonly schemes: ReadonlySet<string>;
  /** What a key must be good for: a read-only one is good for `read`. Undefined where no key is asked for. */
  readonly scope: string | undefined;
}

/** Schemes whose credential is an API key, or stands for one. */
const KEY_SCHEMES = ['bearer', 'streamTicket'];

/** What each operation asks of its caller, by operationId. Throws for an operation that does not say. */
export function readAccess(document: OpenApi): ReadonlyMap<string, Access> {
  return new Map(listOperations(document).map(({ operation }) => [operation.operationId, accessTo(operation)]));
}

function accessTo({ operationId, security }: Operation): Access {
  if (!security) throw new Error(`openapi.yaml does not say who may call ${operationId}: it has no security`);
  const requirements = security.flatMap((requirement) => Object.entries(requirement));
  const scopes = requirements.filter(([scheme]) => KEY_SCHEMES.includes(scheme)).map(([, roles]) => roles.join());
  const [scope] = scopes;
  if (scopes.some((each) => each !== scope || !['read', 'write'].includes(each))) {
    throw new Error(`openapi.yaml must say of ${operationId} that a key needs either read or write`);
  }
  return { schemes: new Set(requirements.map(([scheme]) => scheme)), scope };
}
