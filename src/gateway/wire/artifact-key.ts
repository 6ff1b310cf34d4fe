/**
 * The object key in the raw target of `/v1/workflows/{id}/artifacts/{key…}`, decoded once. Undefined for a key that
 * no artifact can have: bad escapes, empty or dot segments, a backslash or a control character, decoded or not.
 */
export function parseArtifactKey(target: string): string | undefined {
  // The router has matched the path; `scheme://authority` stands before it in the absolute form (RFC 9112, 3.2.2).
  const match = /^(?:[a-z][a-z\d+.-]*:\/\/[^/?#]*)?(?:\/[^/?#]*){4}\/([^?#]+)/i.exec(target);
  if (!match) return undefined;
  let key: string;
  try {
    key = decodeURIComponent(match[1]!);
  } catch {
    return undefined;
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
  if (/[\\\x00-\x1f\x7f]/.test(key)) return undefined;
  return key.split('/').some((segment) => segment === '' || segment === '.' || segment === '..') ? undefined : key;
}

/** `attachment` with the last segment of the key as file name, for old and new readers (RFC 6266, RFC 8187). */
export function contentDisposition(key: string): string {
  const name = key.slice(key.lastIndexOf('/') + 1);
  const plain = name.replace(/[^\x20-\x7e]|["\\%]/g, '_');
  const encoded = encodeURIComponent(name).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `attachment; filename="${plain}"; filename*=UTF-8''${encoded}`;
}
