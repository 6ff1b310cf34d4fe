import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import {
  findKubernetesSchemas,
  KUBERNETES_VERSIONS,
  type Manifest,
} from '../../scripts/check-deploy/kubernetes-schemas.ts';
import { PLAIN, parseManifests, RENDERINGS, renderPlain } from '../../scripts/check-deploy/render-chart.ts';
import { findHelm } from '../../scripts/check-deploy/tools.ts';

const schemas = await findKubernetesSchemas();
const helm = findHelm();
const text = readFileSync(PLAIN, 'utf8');

describe('the manifests in deploy/kubernetes', () => {
  describe('against the schemas of Kubernetes', { skip: 'missing' in schemas && schemas.missing }, () => {
    const checkOf = (version: string) => {
      assert.ok('checks' in schemas);
      return schemas.checks.get(version)!;
    };

    for (const version of KUBERNETES_VERSIONS) {
      it(`are what ${version} takes`, () => {
        const check = checkOf(version);
        for (const { manifests } of RENDERINGS) {
          assert.deepEqual(parseManifests(readFileSync(manifests, 'utf8')).flatMap(check), []);
        }
      });
    }

    it('would not be with a field that there is not, or of another type', () => {
      const check = checkOf(KUBERNETES_VERSIONS[0]);
      const change = (from: string | RegExp, to: string): readonly Manifest[] => {
        assert.match(text, new RegExp(from));
        return parseManifests(text.replace(from, to));
      };
      assert.match(change('periodSeconds', 'periodSecond').flatMap(check).join(), /periodSecond/);
      assert.match(change('runAsUser: 1000', 'runAsUser: root').flatMap(check).join(), /runAsUser must be integer/);
    });
  });

  it('are what the chart renders (else: npm run check:deploy -- --write)', {
    skip: !helm && 'there is no helm; npm run check:deploy builds one',
  }, () => {
    for (const { manifests, values } of RENDERINGS) {
      assert.deepEqual(parseManifests(readFileSync(manifests, 'utf8')), parseManifests(renderPlain(helm!, values)));
    }
  });
});
