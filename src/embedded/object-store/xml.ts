import { S3Error } from './s3-error.ts';

/** A tree to write: fields in their order, arrays as repeated elements, undefined as nothing. */
export type XmlValue = string | number | boolean | undefined | XmlFields | readonly XmlValue[];
export interface XmlFields {
  readonly [name: string]: XmlValue;
}

/** A document with `root` around `fields`, in S3's namespace. */
export function writeXml(root: string, fields: XmlFields): string {
  const inside = writeFields(fields);
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${root} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${inside}</${root}>`;
}

function writeFields(fields: XmlFields): string {
  return Object.entries(fields)
    .map(([name, value]) => writeElement(name, value))
    .join('');
}

function writeElement(name: string, value: XmlValue): string {
  if (value === undefined) return '';
  if (Array.isArray(value)) return value.map((item) => writeElement(name, item)).join('');
  const inside = typeof value === 'object' ? writeFields(value as XmlFields) : escapeText(String(value));
  return `<${name}>${inside}</${name}>`;
}

/** Most control characters have no lawful form in XML 1.0; a reference is what S3 sends, and survives most parsers. */
function escapeText(text: string): string {
  return text.replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is escaped
    /[<>&"\u0000-\u001f]/g,
    (character) => `&#x${character.charCodeAt(0).toString(16).toUpperCase()};`,
  );
}

export interface XmlElement {
  readonly name: string;
  /** The text right inside, without that of the children. */
  readonly text: string;
  readonly children: readonly XmlElement[];
}

interface OpenElement {
  name: string;
  text: string;
  children: XmlElement[];
}

const TOKEN = /<\?[^>]*\?>|<!--.*?-->|<(\/?)(?:[\w.-]+:)?([\w.-]+)(?:\s[^<>]*?)?(\/?)>|([^<]+)/sy;

/** Reads a small document without attributes, document types and CDATA, as S3 clients send. Throws MalformedXML. */
export function readXml(document: string): XmlElement {
  const top: OpenElement = { name: '', text: '', children: [] };
  const open: OpenElement[] = [top];
  const token = new RegExp(TOKEN);
  while (token.lastIndex < document.length) {
    const match = token.exec(document);
    if (!match) throw malformed();
    const [, closing, name, empty, text] = match;
    const inner = open.at(-1)!;
    if (text !== undefined) inner.text += unescapeText(text);
    else if (name !== undefined && closing) {
      if (inner.name !== name || open.length === 1) throw malformed();
      open.pop();
    } else if (name !== undefined) {
      const element: OpenElement = { name, text: '', children: [] };
      inner.children.push(element);
      if (!empty) open.push(element);
      if (open.length > 10) throw malformed();
    }
  }
  const [root] = top.children;
  if (open.length !== 1 || top.children.length !== 1 || !root) throw malformed();
  return root;
}

const NAMED = new Map([
  ['lt', '<'],
  ['gt', '>'],
  ['amp', '&'],
  ['quot', '"'],
  ['apos', "'"],
]);

function unescapeText(text: string): string {
  return text.replace(/&(?:#x([\da-fA-F]{1,6})|#(\d{1,7})|(\w*));?/g, (_, hex, decimal, name) => {
    if (name !== undefined) {
      const character = NAMED.get(name);
      if (character === undefined) throw malformed();
      return character;
    }
    const code = hex ? Number.parseInt(hex, 16) : Number(decimal);
    if (code > 0x10ffff) throw malformed();
    return String.fromCodePoint(code);
  });
}

function malformed(): S3Error {
  return new S3Error('MalformedXML', 'The XML you provided was not well-formed or did not validate.');
}

/** The text of the first child with this name. */
export function childText(element: XmlElement, name: string): string | undefined {
  return element.children.find((child) => child.name === name)?.text;
}
