import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { childText, readXml, writeXml } from '../../src/embedded/object-store/xml.ts';

test('writes fields in order, arrays as repetitions, and nothing for undefined', () => {
  const document = writeXml('Result', {
    Name: 'a<b>&"c',
    Missing: undefined,
    Part: [{ N: 1 }, { N: 2 }],
    IsLast: true,
  });
  const inside =
    '<Name>a&#x3C;b&#x3E;&#x26;&#x22;c</Name><Part><N>1</N></Part><Part><N>2</N></Part><IsLast>true</IsLast>';
  assert.ok(document.endsWith(`<Result xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${inside}</Result>`), document);
});

test('reads back any text it wrote', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      assert.equal(childText(readXml(writeXml('Root', { Key: text })), 'Key'), text);
    }),
  );
});

test('reads what clients send: declarations, comments, prefixes, attributes, entities, empty elements', () => {
  const document = `<?xml version="1.0"?>
    <!-- <Key> --> <s3:Delete xmlns:s3="http://s3.amazonaws.com/doc/2006-03-01/"><s3:Quiet/>
    <Object><Key>a&amp;b&#x20;&#99;&apos;</Key></Object></s3:Delete>`;
  const root = readXml(document);
  assert.equal(root.name, 'Delete');
  assert.deepEqual(
    root.children.map(({ name }) => name),
    ['Quiet', 'Object'],
  );
  assert.equal(childText(root.children[1]!, 'Key'), "a&b c'");
});

test('refuses what is malformed, and document types, whose entities could be anything', () => {
  const deep = `${'<a>'.repeat(50)}${'</a>'.repeat(50)}`;
  const entity = '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>';
  const documents = [
    '',
    'text',
    '<a>',
    '<a></b>',
    '<a></a></a>',
    '<a/><b/>',
    '<a',
    '<a>&x;</a>',
    '<a>&</a>',
    '<a>&constructor;</a>',
  ];
  for (const document of [...documents, '<a>&#x110000;</a>', deep, entity]) {
    assert.throws(() => readXml(document), { code: 'MalformedXML' }, document.slice(0, 40));
  }
});
