#!/bin/sh
# Makes the secrets that compose.yaml needs, once: what is there stays as it is.
set -eu
cd "${0%/*}"

# Nobody else on this machine gets into the folder. The files themselves are readable to all, because the containers, which
# get them one by one, run as several users.
mkdir -p secrets
chmod 0700 secrets

# A random word of so many hexadecimal digits, an even number.
random() {
  od -An -vtx1 -N "$(($1 / 2))" /dev/urandom | tr -d ' \n'
}

# Keeps the second argument under the name that the first one is, unless there is such a file.
keep() {
  [ -s "secrets/$1" ] && return
  printf '%s' "$2" >"secrets/$1"
  chmod 0644 "secrets/$1"
}

keep api-token "$(random 48)"
keep stream-ticket-secrets "$(random 64)"
keep object-store-access-key-id "$(random 20)"
keep object-store-secret-access-key "$(random 40)"
keep database-password "$(random 48)"
keep database-url "postgresql://foldforge:$(cat secrets/database-password)@postgres:5432/foldforge"
keep grafana-admin-password "$(random 32)"

if ! grep -qs '^FOLDFORGE_SECRETS=' ../.env; then
  echo 'FOLDFORGE_SECRETS=./compose/secrets' >>../.env
fi
echo 'The secrets are in deploy/compose/secrets. The static token is in api-token.'
