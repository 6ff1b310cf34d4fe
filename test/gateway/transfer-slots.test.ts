import assert from 'node:assert/strict';
import { it } from 'node:test';
import { GatewayError } from '../../src/gateway/errors.ts';
import { createTransferSlots } from '../../src/gateway/upstream/transfer-slots.ts';

it('one principal has half of the slots, the static token all, and what is over gives its slot back', async () => {
  let shown = 0;
  const { hold } = createTransferSlots({
    most: 5,
    metrics: { transfers: { set: (count: number) => (shown = count) } } as never,
  });
  const ends: (() => void)[] = [];
  const start = (principal?: string) => {
    const gate = Promise.withResolvers<void>();
    ends.push(gate.resolve);
    return hold(principal, () => gate.promise.then(() => assert.fail('it broke off'))).then(
      () => 'over',
      (error) => (error instanceof GatewayError ? error.code : 'over'),
    );
  };
  const open = [start('alice'), start('alice'), start('alice')];
  assert.equal(await start('alice'), 'TOO_MANY_REQUESTS');
  open.push(start('bob'), start());
  assert.equal(shown, 5);
  assert.equal(await start('carol'), 'OVERLOADED');
  for (const end of ends) end();
  assert.deepEqual(new Set(await Promise.all(open)), new Set(['over']));
  assert.equal(shown, 0);
  const all = Array.from({ length: 5 }, () => start());
  for (const end of ends) end();
  await Promise.all(all);
});
