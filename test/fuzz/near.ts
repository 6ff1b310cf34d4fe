import fc from 'fast-check';
import { bodyMutation } from './near-body.ts';
import { credentialMutation, headerMutation } from './near-headers.ts';
import { methodMutation, pathMutation, queryMutation } from './near-target.ts';
import type { Draft } from './request.ts';
import type { World } from './world.ts';

/** A valid request with one to three things wrong with it, or only odd. */
export function nearRequest(valid: fc.Arbitrary<Draft>, world: World): fc.Arbitrary<Draft> {
  const mutation = fc.oneof(
    { weight: 4, arbitrary: bodyMutation },
    { weight: 3, arbitrary: queryMutation },
    { weight: 3, arbitrary: pathMutation },
    { weight: 2, arbitrary: methodMutation },
    { weight: 3, arbitrary: headerMutation },
    { weight: 2, arbitrary: credentialMutation(world) },
  );
  return fc
    .tuple(valid, fc.array(mutation, { minLength: 1, maxLength: 3 }))
    .map(([draft, mutations]) =>
      mutations.reduce<Draft>((bent, bend) => bend(bent), { ...draft, promised: undefined }),
    );
}
