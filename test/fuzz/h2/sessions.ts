import { within } from '../../support/waiting.ts';
import type { Place } from '../open-socket.ts';
import { openSession, type Session, type StreamRequest, type StreamTalk } from './session.ts';

/** After so many streams that were ended by force a session is given up, before the server does so. */
const MAX_STRAIN = 50;
const MAX_TRIES = 3;
/** How long a server may take to hang up, too, in milliseconds. */
const CLOSE_MS = 10_000;

export type Sessions = ReturnType<typeof createSessions>;

/** Connections that requests share, each until its server or its client has had enough of it. */
export function createSessions(place: Pick<Place, 'port' | 'ca'>) {
  const shared = new Map<number, Session>();
  const leaving = new Set<Promise<void>>();

  function retire(session: Session): void {
    const left = session.retire();
    leaving.add(left);
    void left.finally(() => leaving.delete(left));
  }

  function sessionAt(slot: number): Session {
    const known = shared.get(slot);
    if (known?.isOpen() && known.strain() < MAX_STRAIN) return known;
    if (known) retire(known);
    const session = openSession(place);
    shared.set(slot, session);
    return session;
  }

  return {
    /** Over the connection of that number; `own`: over a new one, which is closed again. */
    async request(slot: number | 'own', asked: StreamRequest): Promise<StreamTalk> {
      for (let tries = 1; ; tries++) {
        const session = slot === 'own' ? openSession(place) : sessionAt(slot);
        const talk = await session.request(asked);
        if (slot === 'own') retire(session);
        // What the server has not looked at may be asked again (RFC 9113, section 6.8).
        if (!talk.isUnheard || talk.lostCode !== 0 || tries === MAX_TRIES) return talk;
      }
    },

    async close(): Promise<void> {
      for (const session of shared.values()) retire(session);
      shared.clear();
      await within('the end of all connections', Promise.all(leaving), CLOSE_MS);
    },
  };
}
