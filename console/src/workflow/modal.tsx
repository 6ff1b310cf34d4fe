import type { ComponentChildren } from 'preact';
import { useId, useLayoutEffect, useRef } from 'preact/hooks';
import './modal.css';

interface ModalProps {
  readonly title: string;
  readonly class?: string;
  /** Called when it is to be taken away: also by Escape. */
  readonly onClose: () => void;
  readonly children: ComponentChildren;
}

/** A dialog over the page, open for as long as it is drawn. The focus goes back to where it was. */
export function Modal({ title, class: name = '', onClose, children }: ModalProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  useLayoutEffect(() => {
    const element = dialog.current!;
    const before = document.activeElement;
    element.showModal();
    return () => {
      element.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      class={`modal ${name}`}
      aria-labelledby={titleId}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClose={() => {
        // A browser does not ask at the second Escape, but whoever draws it may want it to stay.
        dialog.current?.showModal();
        if (dialog.current) onClose();
      }}
    >
      <h2 id={titleId}>{title}</h2>
      {children}
    </dialog>
  );
}
