import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createAttempts } from '../../../console/src/submit/attempts.ts';
import { contractMistakes, syntaxMistake } from '../../../console/src/submit/mistakes.ts';
import { specText } from '../../../console/src/submit/spec-text.ts';
import { positionOf } from '../../../console/src/submit/text-position.ts';

describe('createAttempts', () => {
  it('keeps the key of a body until it was accepted, and gives another body another one', () => {
    let made = 0;
    const attempts = createAttempts(() => `key-${++made}`);
    assert.equal(attempts.keyFor('a'), 'key-1');
    assert.equal(attempts.keyFor('a'), 'key-1');
    assert.equal(attempts.keyFor('b'), 'key-2');
    attempts.accepted();
    assert.equal(attempts.keyFor('b'), 'key-3');
  });

  it('makes keys that the API takes, and no two the same', () => {
    const keys = Array.from({ length: 100 }, () => createAttempts().keyFor('x'));
    for (const key of keys) assert.match(key, /^[\x21\x23-\x7e][\x21-\x7e]{0,254}$/);
    assert.equal(new Set(keys).size, 100);
  });
});

describe('positionOf', () => {
  it('counts lines and characters from 1', () => {
    const text = 'ab\n😀c\n';
    assert.deepEqual(positionOf(text, 0), { line: 1, column: 1 });
    assert.deepEqual(positionOf(text, 2), { line: 1, column: 3 });
    assert.deepEqual(positionOf(text, 3), { line: 2, column: 1 });
    assert.deepEqual(positionOf(text, 5), { line: 2, column: 2 });
    assert.deepEqual(positionOf(text, 7), { line: 3, column: 1 });
  });
});

describe('mistakes', () => {
  it('are found in what is no JSON', () => {
    assert.equal(syntaxMistake('{"a": 1}'), undefined);
    assert.deepEqual(syntaxMistake('{\n  "a": ?\n}'), {
      message: 'Expected a value, but there is "?".',
      span: { start: 9, end: 10 },
      position: { line: 2, column: 8 },
    });
    assert.deepEqual(syntaxMistake(' \n'), { message: 'There is nothing to submit yet.' });
  });

  it('stand at their fields', () => {
    const text = '{\n  "name": "x",\n  "steps": [{ "id": "a", "tool": "foo" }]\n}';
    const errors = [
      { pointer: '/steps/0/tool', message: 'must be one of these' },
      { pointer: '#/header/idempotency-key', message: 'is malformed' },
    ];
    assert.deepEqual(contractMistakes(text, { message: 'm', errors }), [
      {
        pointer: '/steps/0/tool',
        message: 'must be one of these',
        span: { start: 42, end: 55 },
        position: { line: 3, column: 26 },
      },
      { pointer: '#/header/idempotency-key', message: 'is malformed' },
    ]);
  });

  it('stand at the steps that the engine names', () => {
    const text = '{"name":"x","steps":[{"id":"a","tool":"af2","depends_on":["b"]}]}';
    const message = 'step "a" depends on "b", which is no step of this workflow';
    assert.deepEqual(contractMistakes(text, { message }), [
      { message, span: { start: 22, end: 30 }, position: { line: 1, column: 23 } },
    ]);
    assert.deepEqual(contractMistakes(text, { message: 'the workflow is not welcome' }), []);
  });
});

describe('specText', () => {
  it('is what was submitted, without what was left out', () => {
    const steps = [
      { id: 'a', tool: 'rfdiffusion', depends_on: [], params: { num_designs: 2 } },
      { id: 'b', tool: 'af2', depends_on: ['a'], params: {}, resources: { gpu_count: 1 } },
      { id: 'c', tool: 'af2', depends_on: [], params: {}, resources: {} },
    ];
    assert.deepEqual(JSON.parse(specText({ name: 'x', labels: {}, steps })), {
      name: 'x',
      steps: [
        { id: 'a', tool: 'rfdiffusion', params: { num_designs: 2 } },
        { id: 'b', tool: 'af2', depends_on: ['a'], resources: { gpu_count: 1 } },
        { id: 'c', tool: 'af2' },
      ],
    });
    assert.deepEqual(JSON.parse(specText({ name: 'x', labels: { p: 'q' }, steps: [] })).labels, { p: 'q' });
  });
});
