import { parse as parseUrl } from 'node:url';
import { AjvOptions } from 'express-openapi-validator/dist/framework/ajv/options.js';
import { defaultSerDes } from 'express-openapi-validator/dist/framework/base.serdes.js';
import { RequestValidator } from 'express-openapi-validator/dist/middlewares/openapi.request.validator.js';
import { SchemaPreprocessor } from 'express-openapi-validator/dist/middlewares/parsers/schema.preprocessor.js';
import { type Contract, listOperations, type OpenApi } from '../contract.ts';
import { requestSide } from './request-side.ts';

// The validator is an Express middleware. Its front door loads Express and all that Express needs, reads the document once
// more, compiles the schema of OpenAPI itself, and compiles path patterns on every request, which our own router has done
// already. So only the two parts that prepare and check requests are used. The package's version is pinned for that.

/** What of an Express request the validator reads and writes. */
export interface ExpressRequest {
  readonly method: string;
  readonly path: string;
  readonly originalUrl: string;
  /** Names in lower case. */
  headers: Record<string, string>;
  query: Record<string, unknown>;
  params: Record<string, string>;
  body: unknown;
  openapi?: object;
}

/** Converts parameters and fills in defaults, in place. Throws what the validator throws, at the first fault. */
export type RequestCheck = (request: ExpressRequest) => void;

type RequestChecks = ReadonlyMap<string, RequestCheck>;

/** They hold nothing of a request, and take 70 ms to compile: gateways of one process share those of a contract. */
const compiled = new WeakMap<Contract, RequestChecks>();

/** Compiles the contract's requests, and returns the check of each operation by its operationId. */
export function createRequestChecks(contract: Contract): RequestChecks {
  const checks = compiled.get(contract) ?? compileChecks(contract);
  compiled.set(contract, checks);
  return checks;
}

function compileChecks(contract: Contract): RequestChecks {
  const document = requestSide(contract.document());
  const options = new AjvOptions({
    formats: {},
    validateFormats: true,
    ajvFormats: { mode: 'fast' },
    serDes: defaultSerDes,
    validateRequests: { allErrors: false, coerceTypes: false, removeAdditional: false },
  } as never);
  prepare(document, options.preprocessor);
  takeUrlParseAsWarned();
  const validator = new RequestValidator(document as never, options.request);

  return new Map(
    listOperations(document).map(({ method, path, operation }) => {
      const check = (request: ExpressRequest): void => {
        request.openapi = { expressRoute: path, pathParams: request.params, schema: operation };
        validator.validate(request as never, {} as never, () => undefined);
      };
      compile(check, { method, path, hasBody: operation.requestBody !== undefined });
      return [operation.operationId, check];
    }),
  );
}

/** Follows references and adds the parameters of paths to their operations, in place. */
function prepare(document: OpenApi, options: AjvOptions['preprocessor']): void {
  const preprocessor = new SchemaPreprocessor(document as never, options, undefined as never);
  // Without these it compiles each schema that is referred to, only to find it.
  const { resolvedSchemaCache } = preprocessor as unknown as { resolvedSchemaCache: Map<string, object> };
  for (const [name, schema] of Object.entries(document.components.schemas)) {
    resolvedSchemaCache.set(`#/components/schemas/${name}`, schema);
  }
  preprocessor.preProcess();
}

/** Lets the validator compile the operation before the first client waits for it, by a request that may well be refused. */
function compile(check: RequestCheck, { method, path, hasBody }: { method: string; path: string; hasBody: boolean }) {
  const headers: Record<string, string> = hasBody ? { 'content-type': 'application/json' } : {};
  try {
    check({ method, path, originalUrl: path, headers, query: {}, params: {}, body: hasBody ? {} : undefined });
  } catch (error) {
    if ((error as { status?: number }).status !== 400) throw error;
  }
}

/**
 * The validator parses a URL for each request with url.parse, which looks through the stack for whom to warn of it, until it
 * has warned once: this buys 7 µs a request.
 */
function takeUrlParseAsWarned(): void {
  const before = process.noDeprecation;
  process.noDeprecation = true;
  parseUrl('/');
  if (before === undefined) delete process.noDeprecation;
  else process.noDeprecation = before;
}
