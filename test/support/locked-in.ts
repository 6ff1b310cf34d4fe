import { execFileSync } from 'node:child_process';

/** Takes what can be written to out of this process's sight, and then everything that its user could do more than others. */
const SCRIPT = `
set -e
mount --make-rprivate /
cut -d ' ' -f 5 /proc/self/mountinfo | grep -vE '^/(proc|sys|dev)(/|$)' | while read -r place; do
  mount -o remount,bind,ro "$place"
done
uid=$1 gid=$2
shift 2
exec setpriv --reuid "$uid" --regid "$gid" --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs "$@"
`;

/**
 * What stands before a command so that it runs as containers of deploy/ do: no file system that can be written to, not even
 * /tmp, no capability, no new privileges. The command takes its process over. Undefined where this account may not do that.
 */
export function lockIn({ uid, gid }: { readonly uid: number; readonly gid: number }): string[] | undefined {
  const before = ['unshare', '--mount', '/bin/sh', '-c', SCRIPT, 'locked-in', String(uid), String(gid)];
  try {
    execFileSync(before[0]!, [...before.slice(1), 'true'], { stdio: 'ignore' });
    return before;
  } catch {
    return undefined;
  }
}
