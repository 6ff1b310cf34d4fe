import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';

// ASN.1 tags (X.690, section 8): what X.509 needs of them.
const SEQUENCE = 0x30;
const SET = 0x31;
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const BOOLEAN = 0x01;
const UTF8_STRING = 0x0c;
const GENERALIZED_TIME = 0x18;
const OID = {
  ecdsaWithSha256: '06082a8648ce3d040302',
  commonName: '0603550403',
  basicConstraints: '0603551d13',
  subjectAltName: '0603551d11',
} as const;
const DAY_MS = 86_400_000;

/**
 * A certificate that is its own authority, for `host`, valid since yesterday (RFC 5280), until tomorrow unless `days` says
 * otherwise; both as PEM.
 */
export function createSelfSigned(host: string, days = 1): { cert: string; key: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const algorithm = der(SEQUENCE, oid('ecdsaWithSha256'));
  const name = der(SEQUENCE, der(SET, der(SEQUENCE, oid('commonName'), der(UTF8_STRING, Buffer.from(host)))));
  const validity = der(SEQUENCE, time(Date.now() - DAY_MS), time(Date.now() + days * DAY_MS));
  const isAuthority = der(SEQUENCE, der(BOOLEAN, Buffer.from([0xff])));
  const dnsName = der(SEQUENCE, der(0x82, Buffer.from(host)));
  const extensions = der(SEQUENCE, extension('basicConstraints', isAuthority), extension('subjectAltName', dnsName));
  const version3 = der(0xa0, der(INTEGER, Buffer.from([2])));
  const serial = der(INTEGER, Buffer.concat([Buffer.from([1]), randomBytes(8)]));
  const subjectKey = publicKey.export({ type: 'spki', format: 'der' });
  const fields = [version3, serial, algorithm, name, validity, name, subjectKey, der(0xa3, extensions)];
  const body = der(SEQUENCE, ...fields);
  const signature = der(BIT_STRING, Buffer.from([0]), sign('sha256', body, privateKey));
  const certificate = der(SEQUENCE, body, algorithm, signature).toString('base64');
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${certificate.replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  };
}

function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents);
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

function oid(name: keyof typeof OID): Buffer {
  return Buffer.from(OID[name], 'hex');
}

function extension(name: keyof typeof OID, value: Buffer): Buffer {
  return der(SEQUENCE, oid(name), der(OCTET_STRING, value));
}

function time(at: number): Buffer {
  return der(GENERALIZED_TIME, Buffer.from(new Date(at).toISOString().replace(/[-:T]|\.\d+/g, '')));
}
