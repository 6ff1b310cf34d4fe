#!/bin/sh
# Runs the program that the first argument names, the gateway when it names none; the rest is for the program.
program=gateway
case "${1-}" in
gateway | orchestrator | foldforge)
  program=$1
  shift
  ;;
esac
# DEP0169: Node warns of it only outside node_modules, which bundled packages no longer are in.
exec node --max-semi-space-size=32 --enable-source-maps --disable-warning=DEP0169 \
  "${0%/*}/dist/bin/$program.js" "$@"
