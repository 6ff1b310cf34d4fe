const DNS = /^dns:\/\/\/(\[[0-9a-f:.]+\]|[^\s/:[\]?#@]+):(\d{1,5})$/i;

/**
 * Where the orchestrator is: one http:// or https:// URL; or several with commas between them, with one scheme and without
 * paths. `dns:///name:port` is gRPC's way to write http://name:port. Throws an Error that completes the sentence "NAME …".
 */
export function readEndpoints(text: string): readonly URL[] {
  const entries = text.split(',').map((entry) => entry.trim());
  if (entries.length === 1) return [readEndpoint(entries[0]!, '')];
  const urls = entries.map((entry, index) => {
    if (entry === '') throw new Error('has an empty entry; write the URLs with commas between them');
    return readEndpoint(entry, ` in its entry ${index + 1}`);
  });
  const seen = new Set<string>();
  for (const { protocol, pathname, origin } of urls) {
    if (protocol !== urls[0]!.protocol) throw new Error('has both http:// and https:// URLs; all must be the same');
    if (pathname !== '/') throw new Error(`has ${origin}${pathname}, but a URL among several must have no path`);
    if (seen.has(origin)) throw new Error(`has ${origin} twice`);
    seen.add(origin);
  }
  return urls;
}

/** Whether the text asks for more than one URL can say, which not every transport can do. */
export function isSeveral(text: string): boolean {
  return text.includes(',') || text.startsWith('dns:');
}

// What is wrong is not repeated: a URL may have a password.
function readEndpoint(entry: string, where: string): URL {
  if (entry.startsWith('dns:')) {
    const [, name, port] = DNS.exec(entry) ?? [];
    const url = `http://${name}:${port}`;
    if (name === undefined || !URL.canParse(url)) {
      throw new Error(
        `must be written dns:///name:port${where}: the system's resolver is asked, for h2c; https://name for TLS`,
      );
    }
    return new URL(url);
  }
  const url = URL.canParse(entry) ? new URL(entry) : undefined;
  const plain = url && /^https?:$/.test(url.protocol) && !url.username && !url.password && !url.search && !url.hash;
  if (!plain) throw new Error(`must be an http:// or https:// URL without user, query or fragment${where}`);
  return url;
}
