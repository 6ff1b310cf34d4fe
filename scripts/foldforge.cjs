#!/usr/bin/env node
// Starts the command line client with a Node that runs TypeScript. Plain JavaScript, because an older Node has to run it.
const { execFileSync, spawn } = require('node:child_process');
const path = require('node:path');
const { pathToFileURL } = require('node:url');

const PROGRAM = path.join(__dirname, '../src/bin/foldforge.ts');

function findRuntime() {
  const options = { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] };
  try {
    return execFileSync(process.execPath, [path.join(__dirname, 'runtime.cjs')], options).trim();
  } catch (error) {
    // It has said why.
    return process.exit(error.status ?? 70);
  }
}

const runtime = findRuntime();
if (runtime === process.execPath) {
  import(pathToFileURL(PROGRAM).href);
} else {
  const child = spawn(runtime, [PROGRAM, ...process.argv.slice(2)], { stdio: 'inherit' });
  // A terminal tells both of Ctrl-C; who sends SIGTERM tells only this process.
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  child.on('exit', (code, signal) => {
    if (!signal) process.exit(code);
    // Before the client could handle it. The handlers here would let this process end as if all was well.
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}
