#!/bin/sh
# Makes a bucket unless it is there: make-bucket.sh URL REGION SECRETS, where SECRETS is the folder with the two keys.
set -eu
url=$1
region=$2
secrets=$3

# The SHA-256 of nothing, which is what these requests have in them.
nothing=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855

# The keys come on standard input, so that they stand in no list of processes.
call() {
  printf 'user = "%s:%s"\n' "$(cat "$secrets/object-store-access-key-id")" "$(cat "$secrets/object-store-secret-access-key")" |
    curl --config - --aws-sigv4 "aws:amz:$region:s3" --silent --show-error --max-time 20 \
      --header "x-amz-content-sha256: $nothing" --output /dev/null --write-out '%{http_code}' "$@"
}

status=$(call --head "$url")
[ "$status" = 404 ] && status=$(call --request PUT --data '' --header 'Content-Type:' "$url")
if [ "$status" != 200 ]; then
  echo "$url answers $status" >&2
  exit 1
fi
echo "$url is there"
