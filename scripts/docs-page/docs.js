/** How long the page reads an event stream, in milliseconds: Swagger UI shows an answer when it has all of it. */
const STREAM_MS = 10_000;

/** The fields that hold a credential: not to be read over a shoulder, and not to be remembered by the browser. */
const CREDENTIAL_FIELDS = ['auth-bearer-value', 'api_key_value'];

const dark = matchMedia('(prefers-color-scheme: dark)');
const followColours = () => document.documentElement.classList.toggle('dark-mode', dark.matches);
dark.addEventListener('change', followColours);
followColours();

/** What Swagger UI does not tell people who cannot see the page, or have no mouse: which elements lack which attributes. */
const MISSING = [
  ['.modal-ux', 'role', () => 'dialog'],
  ['.modal-ux', 'aria-modal', () => 'true'],
  ['.modal-ux', 'aria-label', () => 'Credentials'],
  ['.close-modal', 'aria-label', () => 'Close'],
  ['.body-param__text', 'aria-label', () => 'Request body'],
  ['[data-param-name] :is(input, select, textarea)', 'aria-label', (field) => nameOfParameter(field)],
  ['pre.microlight', 'tabindex', () => '0'],
];
const page = document.getElementById('docs');
document.addEventListener('keydown', ({ key }) => {
  if (key === 'Escape') page.querySelector('.close-modal')?.click();
});
new MutationObserver(completePage).observe(page, { childList: true, subtree: true });

window.SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#docs',
  presets: [window.SwaggerUIBundle.presets.apis],
  plugins: [adaptComponents],
  layout: 'BaseLayout',
  deepLinking: true,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  persistAuthorization: false,
  validatorUrl: null,
  syntaxHighlight: { theme: 'obsidian' },
  requestInterceptor: adaptRequest,
});

function completePage() {
  for (const [selector, attribute, readValue] of MISSING) {
    for (const element of page.querySelectorAll(selector)) {
      if (!element.hasAttribute(attribute)) element.setAttribute(attribute, readValue(element));
    }
  }
  // A label that hides the word on the button.
  for (const button of page.querySelectorAll('.auth-btn-wrapper [aria-label]')) button.removeAttribute('aria-label');
}

function nameOfParameter(field) {
  return field.closest('[data-param-name]').dataset.paramName;
}

function adaptComponents({ React }) {
  const { createElement, useState } = React;
  return {
    statePlugins: {
      auth: {
        wrapSelectors: {
          // For the whole page; what else an operation takes, its own lock asks for.
          definitionsToAuthorize:
            (definitionsToAuthorize) =>
            (...args) =>
              definitionsToAuthorize(...args).filter((definition) => definition.has('bearer')),
        },
      },
    },
    wrapComponents: {
      response: (Response) => (props) => {
        // Each operation has a dozen refusals, and all of them have one body.
        const [whole, setWhole] = useState(props.code < '300');
        if (whole) return createElement(Response, props);
        const description = { source: props.response.get('description') };
        const button = {
          type: 'button',
          className: 'show-response',
          'aria-expanded': false,
          onClick: () => setWhole(true),
        };
        return createElement(
          'tr',
          { className: 'response', 'data-code': props.code },
          createElement('td', { className: 'response-col_status' }, props.code),
          createElement(
            'td',
            { className: 'response-col_description', colSpan: 2 },
            createElement(props.getComponent('Markdown', true), description),
            createElement('button', button, `Example and headers of ${props.code}`),
          ),
        );
      },
      // There is one server: this one.
      ServersContainer: () => () => null,
      // A link in the button that opens the operation would be two controls in one.
      DeepLink:
        () =>
        ({ text }) =>
          createElement('span', null, text),
      Input: (Input) => (props) => {
        const autoFocus = props.id === CREDENTIAL_FIELDS[0];
        const secret = CREDENTIAL_FIELDS.includes(props.id) && { type: 'password', autoComplete: 'off', autoFocus };
        return createElement(Input, { ...props, ...secret });
      },
    },
  };
}

function adaptRequest(request) {
  // The slashes of an artifact's key stay as they are, and OpenAPI 3.1 cannot say so.
  const [path, query] = request.url.split('?', 2);
  if (path.includes('/artifacts/')) request.url = [path.replaceAll('%2F', '/'), query].filter(Boolean).join('?');
  request.userFetch = fetchWhatCanBeShown;
  return request;
}

/** Like fetch, but an event stream ends after a while, and a way that leads out of this gateway is not taken. */
async function fetchWhatCanBeShown(url, request) {
  const response = await fetch(url, { ...request, redirect: 'manual' });
  if (response.type === 'opaqueredirect') {
    throw new Error(
      'the file is at the object store, and this page speaks to the gateway alone: use the curl command, with -L',
    );
  }
  if (!response.headers.get('content-type')?.startsWith('text/event-stream')) return response;
  const { status, headers } = response;
  const copy = new Response(await readBeginning(response.body), { status, headers });
  return Object.defineProperty(copy, 'url', { value: response.url });
}

/** What comes within STREAM_MS, as text; and says so where that is not all of it. */
async function readBeginning(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let note = '';
  const timer = setTimeout(() => {
    note = `: this page stopped reading after ${STREAM_MS / 1_000} seconds; the curl command goes on\n`;
    void reader.cancel();
  }, STREAM_MS);
  try {
    let text = '';
    for (let next = await reader.read(); !next.done; next = await reader.read()) text += next.value;
    return text + note;
  } finally {
    clearTimeout(timer);
  }
}
