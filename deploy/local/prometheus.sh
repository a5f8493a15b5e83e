#!/usr/bin/env bash
# Prints the path of a usable Prometheus, with promtool beside it; fetches one into the user's cache when there is none.
# Sources, in order: PROMETHEUS_BIN, the cache, PATH, the release tarball, Debian's package (unpacked, not installed; no
# administrator needed), Docker. A skipped one says why on stderr.
set -euo pipefail

export TOOL=prometheus
VERSION=3.5.0 # what is fetched, where releases can be reached; Debian's package has a version of its own
MAJOR=2       # the oldest that may work: Debian 12 has 2.42, and the suites run on it
MINOR=42

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/lib.sh"

# check <file>: can it be run, is it new enough, and is promtool beside it? A reason goes to $REASON if not.
check() {
  local found
  if [ ! -x "$1" ]; then
    REASON="$1 is not an executable file"
    return 1
  fi
  found=$("$1" --version 2>&1 | sed -n 's/^prometheus, version \([^ ]*\).*/\1/p' | head -n 1) || found=
  if [ -z "$found" ]; then
    REASON="$1 does not run here or is no Prometheus"
    return 1
  fi
  if ! at_least "$found" "$MAJOR" "$MINOR"; then
    REASON="found $found, need $MAJOR.$MINOR or newer"
    return 1
  fi
  if [ ! -x "$(dirname "$1")/promtool" ]; then
    REASON="$1 has no promtool beside it"
    return 1
  fi
}

# keep <source> <folder> <destination>: both programs into the cache, and done. Prometheus last: where it is, both are.
keep() {
  if ! check "$2/prometheus"; then
    say "$1: $REASON"
    return 0
  fi
  install_binary "$2/promtool" "$(dirname "$3")/promtool"
  install_binary "$2/prometheus" "$3"
  say "$1: installed in $(dirname "$3")"
  echo "$3"
  exit 0
}

from_release() {
  local name="prometheus-$VERSION.$OS-$ARCH" base
  if ! have curl; then
    say 'release: no curl command'
    return 0
  fi
  base="https://github.com/prometheus/prometheus/releases/download/v$VERSION"
  if ! download "$base/$name.tar.gz" "$WORK/$name.tar.gz" || ! download "$base/sha256sums.txt" "$WORK/sums"; then
    say "release: $(last_words "$WORK/curl.log")"
    return 0
  fi
  if ! published "$WORK/sums" "$WORK/$name.tar.gz"; then
    say "release: $REASON"
    return 0
  fi
  if ! tar -xzf "$WORK/$name.tar.gz" -C "$WORK" 2>"$WORK/tar.log"; then
    say "release: cannot unpack: $(last_words "$WORK/tar.log")"
    return 0
  fi
  keep release "$WORK/$name" "$CACHED"
}

# apt <command…>: in $WORK/apt, with the system's sources.
apt() {
  (cd "$WORK/apt" && limit 300 apt-get -q -o APT::Sandbox::User= "$@" >"$WORK/apt.log" 2>&1)
}

from_debian() {
  local own package
  if ! have apt-get || ! have dpkg-deb; then
    say 'apt: no apt-get or no dpkg-deb command'
    return 0
  fi
  mkdir -p "$WORK/apt/lists/partial" "$WORK/apt/cache/archives/partial"
  say 'apt: fetching the package prometheus (20 MB)'
  if ! apt download prometheus; then
    # No package lists on this machine, or old ones: lists of our own, which need no administrator.
    own=(-o "Dir::State::Lists=$WORK/apt/lists" -o "Dir::Cache=$WORK/apt/cache")
    say 'apt: fetching package lists first'
    if ! apt "${own[@]}" update || ! apt "${own[@]}" download prometheus; then
      say "apt: $(last_words "$WORK/apt.log")"
      return 0
    fi
  fi
  for package in "$WORK"/apt/prometheus_*.deb; do
    if ! dpkg-deb -x "$package" "$WORK/apt/unpacked" 2>"$WORK/apt.log"; then
      say "apt: cannot unpack: $(last_words "$WORK/apt.log")"
      return 0
    fi
  done
  keep apt "$WORK/apt/unpacked/usr/bin" "$DEBIAN"
}

from_docker() {
  mkdir -p "$WORK/image"
  if ! docker_fetch "prom/prometheus:v$VERSION" /bin/prometheus "$WORK/image/prometheus" ||
    ! docker_fetch "prom/prometheus:v$VERSION" /bin/promtool "$WORK/image/promtool"; then
    say "docker: $REASON"
    return 0
  fi
  keep docker "$WORK/image" "$CACHED"
}

CACHED=$(cached_path prometheus "$VERSION")
DEBIAN=$(cached_path prometheus debian)
from_environment PROMETHEUS_BIN
from_cache "$CACHED" "$DEBIAN"
from_path
scratch
from_release
from_debian
from_docker
die 1 "none to be had: put a Prometheus $MAJOR.$MINOR or newer, with promtool beside it, on PATH or name it in PROMETHEUS_BIN (https://prometheus.io/download)"
