import { useEffect, useErrorBoundary, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { type Api, type ApiFault, createApi } from './api.ts';
import { BrokenPage } from './broken-page.tsx';
import { Header } from './header.tsx';
import { createListMemory, type ListMemory } from './list/list-memory.ts';
import { ListPage } from './list/list-page.tsx';
import { NotFoundPage } from './not-found-page.tsx';
import type { Quota } from './quota.ts';
import { useLocation } from './router.ts';
import { matchRoute, type Route } from './routes.ts';
import type { Session } from './session.ts';
import { SignInPage } from './sign-in-page.tsx';
import { SubmitPage } from './submit/submit-page.tsx';
import type { ThemeSwitch } from './theme.ts';
import { WorkflowPage } from './workflow/workflow-page.tsx';

interface AppProps {
  readonly session: Session;
  readonly themeSwitch: ThemeSwitch;
}

/** Everything: the page that the URL names, for somebody who is signed in. */
export function App({ session, themeSwitch }: AppProps) {
  const [{ token, notice }, setState] = useState(session.state);
  const [quota, setQuota] = useState<Quota | undefined>();
  useEffect(() => session.subscribe(() => setState(session.state())), [session]);

  const { api, memory } = useMemo(() => {
    setQuota(undefined);
    const onRefused = (fault: ApiFault) => {
      // The answer to a call of the session before says nothing about this one.
      if (session.state().token === token) session.end(`The gateway no longer takes this key: ${fault.message}.`);
    };
    return { api: createApi({ token: token ?? '', onRefused, onQuota: setQuota }), memory: createListMemory() };
  }, [token, session]);

  const place = useLocation();
  const route = matchRoute(place.pathname);
  const isSignedIn = token !== undefined;
  useArrival(`${isSignedIn} ${place.pathname}`, isSignedIn ? titleOf(route) : 'Sign in');

  return (
    <>
      <a class="skip-link" href="#main">
        Skip to the content
      </a>
      <Header
        page={isSignedIn ? route.page : undefined}
        quota={isSignedIn ? quota : undefined}
        themeSwitch={themeSwitch}
        onSignOut={isSignedIn ? () => session.end() : undefined}
      />
      <main id="main" class="page" tabIndex={-1}>
        {isSignedIn ? (
          <Page key={place.pathname} route={route} search={place.search} api={api} memory={memory} />
        ) : (
          <SignInPage notice={notice} onSignIn={session.signIn} />
        )}
      </main>
    </>
  );
}

interface PageProps {
  readonly route: Route;
  readonly search: string;
  readonly api: Api;
  readonly memory: ListMemory;
}

function Page({ route, search, api, memory }: PageProps) {
  const [fault, reset] = useErrorBoundary((error) => console.error(error));
  function tryAgain(): void {
    // It may be what is remembered that cannot be shown.
    memory.clear();
    reset();
  }
  if (fault !== undefined) return <BrokenPage fault={fault} onAgain={tryAgain} />;
  switch (route.page) {
    case 'list':
      return <ListPage api={api} search={search} memory={memory} />;
    case 'submit':
      return <SubmitPage api={api} search={search} />;
    case 'workflow':
      return <WorkflowPage api={api} workflowId={route.workflowId} />;
    case 'not-found':
      return <NotFoundPage />;
  }
}

/** Names each page in the title, and moves the focus to its heading, except on the first one. */
function useArrival(place: string, title: string): void {
  const last = useRef(place);
  useLayoutEffect(() => {
    document.title = `${title} · FoldForge`;
  }, [title]);
  useLayoutEffect(() => {
    if (last.current === place) return;
    last.current = place;
    focusHeading();
    // What stands there while a page is read makes way for the page, and takes the focus with it.
    const observer = new MutationObserver(() => document.activeElement === document.body && focusHeading());
    observer.observe(document.getElementById('main')!, { childList: true, subtree: true });
    const stop = () => observer.disconnect();
    for (const name of ['keydown', 'pointerdown']) addEventListener(name, stop, { once: true });
    return () => {
      stop();
      for (const name of ['keydown', 'pointerdown']) removeEventListener(name, stop);
    };
  }, [place]);
}

function focusHeading(): void {
  const target = document.querySelector<HTMLElement>('main [autofocus], main h1') ?? document.getElementById('main');
  target?.focus({ preventScroll: true });
}

function titleOf(route: Route): string {
  switch (route.page) {
    case 'list':
      return 'Workflows';
    case 'submit':
      return 'Submit';
    case 'workflow':
      return 'Workflow';
    case 'not-found':
      return 'Not found';
  }
}
