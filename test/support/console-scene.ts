import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Browser } from 'playwright-core';
import { ensurePages } from '../../scripts/build-pages.ts';
import { findDatabaseUrl } from '../../src/bin/data-dir.ts';
import { startStack } from '../../src/bin/stack.ts';
import { runApikeyCommand } from '../../src/orchestrator/accounts/apikey-command.ts';
import { startBrowserProxy } from './browser-proxy.ts';
import { openConsolePage } from './console-page.ts';

const SETTINGS = {
  FOLDFORGE_GATEWAY__BIND_ADDR: '127.0.0.1:0',
  FOLDFORGE_GATEWAY__AUTH_CACHE_TTL_SECONDS: '0.2',
  FOLDFORGE_GATEWAY__BODY_LIMIT_BYTES: '16384',
  FOLDFORGE_GATEWAY__LOG_LEVEL: 'fatal',
  FOLDFORGE_ORCH__BIND_ADDR: '127.0.0.1:0',
  FOLDFORGE_ORCH__METRICS_ADDR: '127.0.0.1:0',
  FOLDFORGE_ORCH__MOCK_STEP_SECONDS: '0.4',
  FOLDFORGE_ORCH__LOG_LEVEL: 'fatal',
};

export type ConsoleScene = Awaited<ReturnType<typeof startConsoleScene>>;

/** All that `npm start` starts, and the console in a browser whose connections can be lost. */
export async function startConsoleScene(browser: Browser) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'foldforge-console-'));
  await ensurePages();
  const { gatewayUrl, close } = await startStack(SETTINGS, folder);
  const proxy = await startBrowserProxy(Number(new URL(gatewayUrl).port));
  const view = await openConsolePage(browser, proxy.url);
  const keys: string[] = [];

  async function apikey(...args: string[]): Promise<string> {
    const lines: string[] = [];
    await runApikeyCommand(args, {
      databaseUrl: findDatabaseUrl(folder)!,
      print: (line) => lines.push(line),
    });
    return lines.join('\n');
  }

  function request(key: string, target: string, init: RequestInit = {}): Promise<Response> {
    const headers = { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' };
    return fetch(gatewayUrl + target, { ...init, headers });
  }

  return {
    view,
    page: view.page,
    /** What the browser is connected to. */
    proxy,
    /** Every key that was made. */
    keys,
    async createKey(principal: string, ...args: string[]): Promise<string> {
      const key = await apikey('create', principal, ...args);
      keys.push(key);
      return key;
    },
    async revokeKeyOf(principal: string): Promise<void> {
      const row = (await apikey('list')).split('\n').find((line) => line.split('\t')[1] === principal);
      await apikey('revoke', row!.split('\t', 1)[0]!);
    },
    /** Asks the gateway itself. */
    request,
    /** The same, for an answer that must be good. */
    async ask<T>(key: string, target: string, init?: RequestInit): Promise<T> {
      const response = await request(key, target, init);
      assert.ok(response.ok, `${target}: ${response.status}`);
      return (await response.json()) as T;
    },
    async close(): Promise<void> {
      await proxy.close();
      await close();
      rmSync(folder, { recursive: true });
    },
  };
}
