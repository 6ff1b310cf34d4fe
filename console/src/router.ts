import { type AnchorHTMLAttributes, type ComponentChildren, createElement, type TargetedMouseEvent } from 'preact';
import { useEffect, useState } from 'preact/hooks';

export { BASE, workflowPath } from './routes.ts';

const CHANGED = 'foldforge:navigated';

/** Goes to a path of the console, such as `/console/submit`. `replace` leaves no step back to where we were. */
export function navigate(path: string, { replace = false } = {}): void {
  const { pathname, search } = location;
  if (path === pathname + search) return;
  history[replace ? 'replaceState' : 'pushState'](null, '', path);
  dispatchEvent(new Event(CHANGED));
  // Going back is left to the browser, which knows where we were.
  if (location.pathname !== pathname) scrollTo({ top: 0, behavior: 'instant' });
}

/** Where we are; the component is drawn again when that changes. */
export function useLocation(): { readonly pathname: string; readonly search: string } {
  const [place, setPlace] = useState(readPlace);
  useEffect(() => {
    const update = () =>
      setPlace((before) =>
        before.pathname === location.pathname && before.search === location.search ? before : readPlace(),
      );
    // A child's effects run before this one, and may have gone elsewhere.
    update();
    for (const name of [CHANGED, 'popstate']) addEventListener(name, update);
    return () => {
      for (const name of [CHANGED, 'popstate']) removeEventListener(name, update);
    };
  }, []);
  return place;
}

function readPlace() {
  return { pathname: location.pathname, search: location.search };
}

interface LinkProps extends Omit<AnchorHTMLAttributes<HTMLAnchorElement>, 'href'> {
  readonly href: string;
  readonly children?: ComponentChildren;
}

/** An anchor that goes to another page of the console without loading it anew. */
export function Link({ onClick, ...props }: LinkProps) {
  function follow(event: TargetedMouseEvent<HTMLAnchorElement>): void {
    onClick?.(event);
    const elsewhere = event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey;
    if (event.defaultPrevented || elsewhere || event.currentTarget.target) return;
    event.preventDefault();
    navigate(props.href);
  }
  return createElement('a', { ...props, onClick: follow });
}
