import { parse } from 'yaml';

/** openapi.yaml as JSON. The bundle has the answer in place of this module, made when it was built: scripts/compiled-spec.ts. */
export function specToJson(yaml: string): string {
  return JSON.stringify(parse(yaml));
}
