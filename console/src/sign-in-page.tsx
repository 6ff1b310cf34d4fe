import type { TargetedSubmitEvent } from 'preact';
import { useRef, useState } from 'preact/hooks';
import { ApiFault, createApi } from './api.ts';
import { FaultNotice } from './fault-notice.tsx';

interface SignInPageProps {
  /** Why the session before has ended. */
  readonly notice: string | undefined;
  readonly onSignIn: (token: string) => void;
}

export function SignInPage({ notice, onSignIn }: SignInPageProps) {
  const field = useRef<HTMLInputElement>(null);
  const [isBusy, setBusy] = useState(false);
  const [fault, setFault] = useState<unknown>();
  const [isInvalid, setInvalid] = useState(false);

  async function signIn(event: TargetedSubmitEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault();
    const input = field.current!;
    const token = input.value.trim();
    if (isBusy) return;
    setFault(undefined);
    // No header could carry anything else.
    const isWellFormed = /^[\x21-\x7e]+$/.test(token);
    setInvalid(!isWellFormed);
    if (!isWellFormed) return input.focus();
    setBusy(true);
    try {
      await createApi({ token }).listWorkflows({ pageSize: 1 });
    } catch (error) {
      setBusy(false);
      setFault(error);
      setInvalid(error instanceof ApiFault && error.status === 401);
      input.focus();
      return;
    }
    onSignIn(token);
  }

  return (
    <div class="sign-in">
      <h1 tabIndex={-1}>Sign in</h1>
      {notice && fault === undefined && (
        <p class="notice" data-kind="warning" role="status">
          {notice}
        </p>
      )}
      <form class="panel stack" onSubmit={signIn} noValidate>
        <div class="field">
          <label for="key">API key or token</label>
          <input
            ref={field}
            id="key"
            type="password"
            autocomplete="off"
            autocapitalize="off"
            spellcheck={false}
            required
            autofocus
            aria-invalid={isInvalid}
            aria-describedby={isInvalid && fault === undefined ? 'key-fault key-hint' : 'key-hint'}
          />
          {isInvalid && fault === undefined && (
            <p class="fault" id="key-fault" role="alert">
              Enter a key: visible ASCII characters without spaces.
            </p>
          )}
          <p class="hint" id="key-hint">
            It stays in this tab and goes to this gateway alone. Closing the tab forgets it.
          </p>
        </div>
        {fault !== undefined && <FaultNotice fault={fault}>{adviceFor(fault)}</FaultNotice>}
        <div class="buttons">
          <button type="submit" class="button button-primary" aria-disabled={isBusy}>
            {isBusy ? 'Checking…' : 'Sign in'}
          </button>
        </div>
      </form>
    </div>
  );
}

function adviceFor(fault: unknown) {
  if (!(fault instanceof ApiFault)) return undefined;
  if (fault.status === 401) return <p>Check that the whole key was copied, and that it belongs to this gateway.</p>;
  if (fault.status === 503) return <p>That says nothing about the key: it could not be checked.</p>;
  return undefined;
}
