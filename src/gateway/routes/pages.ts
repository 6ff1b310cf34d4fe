import type { Answer, RequestContext } from '../context.ts';
import { GatewayError } from '../errors.ts';
import type { PageFile, PageFolder } from '../pages.ts';
import { matchesEntityTag } from '../wire/entity-tags.ts';

export interface PageParts {
  /** The page that shows the contract; undefined: it was not built. */
  readonly docs: PageFolder | undefined;
  /** The console; undefined: it is not enabled. */
  readonly console: PageFolder | undefined;
  /** Origins, other than the gateway's, that the console may fetch from. */
  readonly connectOrigins: readonly string[];
}

const START_PAGE = 'index.html';
/** Vite names what is in there after its content. */
const HASHED = /^assets\//;

/** Content Security Policy: nothing from elsewhere, nothing inline, nothing around the page. */
const POLICY: Readonly<Record<string, string>> = {
  'default-src': "'none'",
  'script-src': "'self'",
  'style-src': "'self'",
  'img-src': "'self' data:",
  'connect-src': "'self'",
  'base-uri': "'none'",
  'form-action': "'none'",
  'frame-ancestors': "'none'",
};

/** Nothing that a page of ours asks a browser for. */
const PERMISSIONS = 'camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()';

/** Handlers of the tag `pages`: for people with a browser. The files are static; what they show they ask the API for. */
export function createPageRoutes({ docs, console: app, connectOrigins }: PageParts) {
  const docsHeaders = pageHeaders(POLICY);
  // Pictures and workers that the viewer of structures makes, and files at the object store.
  const consoleHeaders = pageHeaders({
    ...POLICY,
    'img-src': "'self' data: blob:",
    'worker-src': "'self' blob:",
    'connect-src': ["'self'", ...connectOrigins].join(' '),
  });

  return {
    getDocs: (c: RequestContext): Answer => answerPage(c, docs, START_PAGE, docsHeaders),

    getDocsFile: (c: RequestContext): Answer => answerPage(c, docs, pathOf(c) || START_PAGE, docsHeaders),

    getConsole: (c: RequestContext): Answer => answerPage(c, app, START_PAGE, consoleHeaders),

    /** A file, or else one of the app's own pages, which are all made by its start page. */
    getConsolePage(c: RequestContext): Answer {
      const name = pathOf(c);
      // The id of a workflow may have dots.
      const isFile = app?.has(name) || HASHED.test(name) || (/\.\w+$/.test(name) && !name.startsWith('workflows/'));
      return answerPage(c, app, isFile ? name : START_PAGE, consoleHeaders);
    },
  };
}

function pathOf(c: RequestContext): string {
  return c.env.facts.input.params.path ?? '';
}

function answerPage(
  c: RequestContext,
  folder: PageFolder | undefined,
  name: string,
  headers: Readonly<Record<string, string>>,
): Answer {
  const file = folder?.get(name);
  if (!file) throw new GatewayError('NOT_FOUND', 'not found');
  const { 'accept-encoding': encodings, 'if-none-match': ifNoneMatch } = c.env.incoming.headers;
  const packed = acceptsGzip(encodings) ? file.gzip : undefined;
  // Two representations, so two tags (RFC 9110, section 8.8.3.3).
  const etag = packed ? `"${file.digest}.gz"` : `"${file.digest}"`;
  const validators = {
    ...headers,
    ETag: etag,
    Vary: 'Accept-Encoding, Origin',
    'Cache-Control': HASHED.test(name) ? 'public, max-age=31536000, immutable' : 'no-cache',
  };
  if (matchesEntityTag(ifNoneMatch, etag)) return { status: 304, headers: validators };
  return { status: 200, headers: { ...validators, ...bodyHeaders(file, packed) }, body: packed ?? file.body };
}

function bodyHeaders({ type, body }: PageFile, packed: Buffer | undefined): Record<string, string> {
  return {
    'Content-Type': type,
    'Content-Length': String((packed ?? body).length),
    ...(packed && { 'Content-Encoding': 'gzip' }),
  };
}

/** RFC 9110, section 12.5.3, as far as gzip goes: what is said of it by name counts more than what is said of all. */
function acceptsGzip(header: string | string[] | undefined): boolean {
  const codings = String(header ?? '')
    .toLowerCase()
    .split(',')
    .map((coding) => coding.trim());
  const said = codings.find((coding) => /^gzip\s*(?:;|$)/.test(coding)) ?? codings.find((coding) => /^\*/.test(coding));
  return said !== undefined && !/;\s*q=0(?:\.0{0,3})?$/.test(said);
}

function pageHeaders(policy: typeof POLICY): Readonly<Record<string, string>> {
  return {
    'Content-Security-Policy': Object.entries(policy)
      .map(([directive, sources]) => `${directive} ${sources}`)
      .join('; '),
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Permissions-Policy': PERMISSIONS,
  };
}
