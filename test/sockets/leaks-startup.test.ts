import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { GATEWAY_PREFIX, gatewaySettings, readGatewayConfig } from '../../src/gateway/config.ts';
import {
  ORCHESTRATOR_PREFIX,
  orchestratorSettings,
  readOrchestratorConfig,
  requireBackends,
} from '../../src/orchestrator/config.ts';
import type { Settings } from '../../src/shared/settings.ts';
import { StartupError } from '../../src/shared/startup-error.ts';
import { type Canaries, createCanaries, NOWHERE } from '../support/canaries.ts';
import { startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startProgram } from '../support/process.ts';

type Environment = Record<string, string>;

const secretsOf = (settings: Settings) => Object.keys(settings).filter((name) => settings[name]!.secret);

const PROGRAMS = [
  {
    name: 'gateway',
    prefix: GATEWAY_PREFIX,
    secrets: secretsOf(gatewaySettings),
    others: Object.keys(gatewaySettings).filter((name) => /ENDPOINT|URL$/.test(name)),
    good: { BIND_ADDR: '127.0.0.1:0' } as Environment,
    read: (environment: Environment) => void readGatewayConfig(environment),
  },
  {
    name: 'orchestrator',
    prefix: ORCHESTRATOR_PREFIX,
    secrets: secretsOf(orchestratorSettings),
    others: Object.keys(orchestratorSettings).filter((name) => /ENDPOINT|SIDECAR_[^_]+$/.test(name)),
    good: { DATABASE_URL: 'postgresql://127.0.0.1:9/none', R2_ENDPOINT: 'http://127.0.0.1:9' } as Environment,
    read: (environment: Environment) => requireBackends(readOrchestratorConfig(environment)),
  },
];

/** What operators write where a secret belongs, by mistake. */
const MISTAKES: readonly ((secret: string) => string)[] = [
  (secret) => secret,
  (secret) => ` ${secret}\n`,
  (secret) => `${secret},`,
  (secret) => `,${secret}`,
  (secret) => `${secret}, ,${secret}`,
  (secret) => `${secret} and more`,
  (secret) => `${secret}\nand more`,
  (secret) => `${secret}\u00e9`,
  (secret) => `"${secret}"`,
  (secret) => `http://${secret}`,
  (secret) => `http://user:${secret}@127.0.0.1:9`,
  (secret) => `mysql://user:${secret}@127.0.0.1:9/db`,
  (secret) => `postgresql://user:${secret}@[bad/db`,
  (secret) => `postgresql://user:${secret}@127.0.0.1:notaport/db`,
  (secret) => `postgresql:user:${secret}`,
];

for (const { name, prefix, secrets, others, good, read } of PROGRAMS) {
  describe(`the ${name} never prints the value of a secret setting`, () => {
    let folder: string;
    let canaries: Canaries;
    before(() => {
      folder = mkdtempSync(path.join(os.tmpdir(), 'foldforge-test-'));
      canaries = createCanaries();
    });
    after(() => rmSync(folder, { recursive: true, force: true }));

    const named = (settings: Environment) =>
      Object.fromEntries(Object.entries(settings).map(([setting, value]) => [prefix + setting, value]));

    /** The one line that the program would print; empty when the settings are good. */
    function complaint(settings: Environment): string {
      try {
        read(named({ ...good, ...settings }));
        return '';
      } catch (error) {
        assert.ok(error instanceof StartupError, String(error));
        return error.message;
      }
    }

    it('whatever mistake is in it', () => {
      let refused = 0;
      for (const setting of secrets) {
        for (const [index, mistake] of MISTAKES.entries()) {
          const value = mistake(canaries.plant(`${setting}, with mistake ${index}`, NOWHERE));
          const file = path.join(folder, 'secret');
          writeFileSync(file, value);
          const ways = [
            { [setting]: value },
            { [`${setting}_FILE`]: file },
            { [`${setting}_FILE`]: value },
            { [setting]: value, [`${setting}_FILE`]: file },
            { [`${setting}S`]: value, [setting.replace('_', '')]: value },
          ];
          for (const way of ways) {
            const line = complaint(way);
            refused += Number(line !== '');
            canaries.scan('log', line);
          }
        }
      }
      assert.ok(refused > secrets.length * MISTAKES.length, `${refused} complaints`);
      canaries.checkLeaks();
    });

    it('nor a password in the address of something', () => {
      for (const setting of others) {
        const password = canaries.plant(`a password in ${setting}`, NOWHERE);
        const line = complaint({ [setting]: `http://user:${password}@127.0.0.1:9` });
        assert.match(line, new RegExp(setting));
        canaries.scan('log', line);
      }
      canaries.checkLeaks();
    });

    it('as a program that does not start', async () => {
      const bad = Object.fromEntries(
        secrets.map((setting) => [setting, `,${canaries.plant(`${setting}, all at once`, NOWHERE)}\nand more,`]),
      );
      const unknown = { R2_SECRET: canaries.plant('a setting that is none', NOWHERE) };
      const runs: [env: Environment, args: string[]][] = [
        [{ ...good, ...bad, ...unknown }, []],
        [{ ...good, ...bad, ...unknown }, ['--check-config']],
      ];
      if (name === 'orchestrator') {
        const password = canaries.plant('the password of a database that is not there', NOWHERE);
        const keys = { R2_ACCESS_KEY_ID: password, R2_SECRET_ACCESS_KEY: password };
        runs.push([{ ...good, ...keys, DATABASE_URL: `postgresql://ff:${password}@127.0.0.1:9/ff` }, []]);
        runs.push([{ DATABASE_URL: `postgresql://ff:${password}@127.0.0.1:9/ff` }, ['apikey', 'list']]);
        runs.push([{ ...good, ...keys, DATABASE_URL: `postgresql://ff:${password}@127.0.0.1:9/ff?ssl=x` }, []]);
      }
      for (const [env, args] of runs) {
        const program = startProgram(name, { env: named(env), args });
        assert.notEqual(await program.exits(), 0);
        assert.match(program.stderr(), /^foldforge-\w+: [^\n]+\n$/, 'one line');
        canaries.scan('log', program.stdout() + program.stderr());
      }
      canaries.checkLeaks();
    });
  });
}

describe('the gateway as a process', () => {
  it('prints none of its secrets, from its start to its end', async () => {
    const canaries = createCanaries();
    const fake = await startFakeOrchestrator();
    const secrets = Object.fromEntries(
      secretsOf(gatewaySettings).map((setting) => [setting, canaries.plant(setting, NOWHERE).padEnd(40, 'x')]),
    );
    const settings: Environment = {
      ...secrets,
      BIND_ADDR: '127.0.0.1:0',
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      API_KEYS_ENABLED: 'true',
      R2_ENDPOINT: 'http://127.0.0.1:9',
      SHUTDOWN_DELAY_SECONDS: '0',
      LOG_LEVEL: 'trace',
    };
    const env = Object.fromEntries(Object.entries(settings).map(([name, value]) => [GATEWAY_PREFIX + name, value]));
    const check = startProgram('gateway', { env, args: ['--check-config'] });
    assert.equal(await check.exits(), 0);
    const program = startProgram('gateway', { env });
    const [, address] = await program.prints(/"address":"([^"]+)".*"ready"/);
    const stranger = canaries.plant('what a stranger sends', NOWHERE);
    for (const token of [secrets.API_TOKEN, stranger]) {
      const headers = { Authorization: `Bearer ${token}`, Cookie: `a=${stranger}`, 'X-Api-Key': stranger };
      await fetch(`http://${address}/v1/workflows?token=${stranger}`, { headers });
      await fetch(`http://${address}/v1/workflows`, { headers });
    }
    program.kill('SIGTERM');
    assert.equal(await program.exits(), 0);
    canaries.scan('log', [check, program].map((each) => each.stdout() + each.stderr()).join(''));
    canaries.checkLeaks();
    await fake.close();
  });
});
