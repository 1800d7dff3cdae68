#!/usr/bin/env bash
# CPython 3.13 without the global interpreter lock, built from Debian's source package, kept between runs.
#
#   .ci/free_threaded.sh            build it where it is missing (about 6 minutes on two cores), print its path
#   .ci/free_threaded.sh cached     print its path if it is there, else nothing
#   KVPOOL_PYTHON_SANITIZE=thread   the same, of an interpreter that is itself under the thread sanitizer
#
# The source comes from the Debian mirror of this machine's own apt, by lists and a cache of its own: nothing of apt's
# configuration is touched. apt verifies it against Debian's keys. The cache is $KVPOOL_CACHE or ~/.cache/kvpool.
# Where it cannot be built, one line says why, and the exit status is 0: whoever calls looks whether there is a path.
set -euo pipefail

suite=trixie
package=python3.13
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
sanitizer=${KVPOOL_PYTHON_SANITIZE:-}
options=(--disable-gil --disable-test-modules --without-static-libpython --without-ensurepip)
# Clang's sanitizer, which follows all that the interpreter does with atomics.
[ "$sanitizer" = thread ] && options+=(--with-thread-sanitizer LDFLAGS=-fsanitize=thread)
cache=${KVPOOL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kvpool}
# Debian's places for installed packages: those of a free-threaded interpreter are not where its pip puts them.
undone=(ensurepip-disabled distutils-install-layout sysconfig-debian-schemes)
key=$(printf '%s\n' "$suite" "$package" "${options[@]}" "${undone[@]}" | cksum | cut -d' ' -f1)
prefix=$cache/$package-free-threaded${sanitizer:+-$sanitizer}-$key
interpreter=$prefix/bin/${package}t
compiler=gcc
[ "$sanitizer" = thread ] && compiler=$(compgen -c clang- | grep -E '^clang-[0-9]+$' | sort -V | tail -1 || true)

skip() {
    echo "skipped: no Python without the lock: $1" >&2
    exit 0
}

# What apt's own mirror of Debian is; empty where this machine has none.
mirror() {
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' 2>/dev/null | head -1
}

fetch() {
    local place=$1 uri
    uri=$(mirror)
    [ -n "$uri" ] || { apt-get -qq update >/dev/null 2>&1 && uri=$(mirror); }
    [ -n "$uri" ] || skip "apt knows no mirror of Debian"
    mkdir -p "$place/lists/partial" "$place/cache/archives/partial" "$place/none"
    echo "deb-src [signed-by=$keyring] $uri $suite main" >"$place/sources.list"
    local apt=(apt-get -qq -o Dir::Etc::sourcelist="$place/sources.list" -o Dir::Etc::sourceparts="$place/none"
        -o Dir::State::lists="$place/lists" -o Dir::Cache="$place/cache" -o APT::Sandbox::User=root
        -o Acquire::Retries=2)
    "${apt[@]}" update >"$place/log" 2>&1 || skip "no source list of Debian $suite"
    (cd "$place" && "${apt[@]}" source --only-source "$package/$suite" >>"$place/log" 2>&1) ||
        skip "the source package of $package cannot be had; see $place/log"
}

# The libraries without which pip cannot work, and ctypes, which NumPy asks for.
require() {
    local missing=() name
    for name in dpkg-dev patch gcc make pkg-config libssl-dev zlib1g-dev libffi-dev; do
        dpkg -s "$name" >/dev/null 2>&1 || missing+=("$name")
    done
    [ ${#missing[@]} -eq 0 ] && return
    { apt-get -qq update && apt-get -qq install -y --no-install-recommends "${missing[@]}"; } >/dev/null 2>&1 ||
        skip "these packages are missing: ${missing[*]}"
}

build() {
    local place=$prefix.build log=$prefix.log sources
    [ -n "$compiler" ] || skip "there is no clang for its sanitizer"
    command -v apt-get >/dev/null || skip "there is no apt here"
    [ -r "$keyring" ] || skip "there is no $keyring"
    require
    rm -rf "$place"
    mkdir -p "$place"
    fetch "$place"
    sources=("$place"/"$package"-*/configure)
    [ -x "${sources[0]}" ] || skip "the source package of $package holds no configure"
    (
        cd "$(dirname "${sources[0]}")"
        for patch in "${undone[@]}"; do
            patch -R -p1 <"debian/patches/$patch.diff"
        done
        ./configure --prefix="$prefix" "${options[@]}" CC="${CC:-$compiler}" OPT='-O2 -DNDEBUG -fwrapv'
        nice make -j"${CMAKE_BUILD_PARALLEL_LEVEL:-2}"
        # Into a folder of its own first: an interpreter that is in its place is a whole one.
        nice make install DESTDIR="$place/root"
    ) >"$log" 2>&1 || skip "it does not build; see $log"
    rm -rf "$prefix"
    mv "$place/root$prefix" "$prefix"
    rm -rf "$place"
}

if [ ! -x "$interpreter" ]; then
    [ "${1:-}" = cached ] && exit 0
    mkdir -p "$cache"
    build
fi
echo "$interpreter"
