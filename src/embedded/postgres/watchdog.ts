/**
 * A shell script that runs a server and stops it when its own standard input ends, which happens when its parent
 * is killed. $1 is a folder to remove in the end; the rest is the server's command. SIGINT asks Postgres for a fast shutdown.
 */
export const WATCHDOG = `
exec 3<&0
folder=$1
shift
"$@" </dev/null 3<&- &
server=$!
trap 'kill -INT "$server"' TERM INT HUP
{ while read -r line <&3; do :; done; kill -INT "$server"; } 2>/dev/null &
listener=$!
wait "$server"
status=$?
while [ "$status" -gt 128 ] && kill -0 "$server" 2>/dev/null; do
  wait "$server"
  status=$?
done
kill "$listener" 2>/dev/null
rm -rf "$folder"
exit "$status"
`;
