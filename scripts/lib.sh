# Shared by the scripts beside it. Sourced, not run.

say() { printf '\n==> %s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# The packages of the given lists that are not installed, one a line.
missing_packages() {
  local package
  sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$@" | while read -r package; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
  done
}

# Installs what is missing of the given lists: as root, or with sudo.
ensure_packages() {
  command -v dpkg-query >/dev/null || fail "this script installs Debian packages, and there is no dpkg here.
Install the counterparts of the packages in $* by hand, then build with:
  cmake --preset release && cmake --build --preset release"
  local missing
  missing=$(missing_packages "$@")
  if [ -z "$missing" ]; then
    say "all needed Debian packages are installed"
    return
  fi
  local as_root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || fail "these packages are missing and neither root nor sudo is at hand; install them as root:
  apt-get install --no-install-recommends $(echo $missing)"
    as_root=(sudo)
  fi
  say "installing $(echo "$missing" | wc -l) Debian packages and what they need: $(echo $missing)"
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300)
  # shellcheck disable=SC2086  # the list is split on purpose
  quietly "${apt[@]}" update && quietly "${apt[@]}" install --no-install-recommends $missing ||
    fail "apt-get failed; its words are above"
}

# Runs a command and shows what it says only if it fails.
quietly() {
  local log
  log=$(mktemp)
  if "$@" >"$log" 2>&1; then
    rm -f "$log"
  else
    cat "$log" >&2
    rm -f "$log"
    return 1
  fi
}

# build PRESET [cmake options]: configures and builds build/PRESET, using every core.
build() {
  local preset=$1
  shift
  say "building build/$preset"
  quietly cmake --preset "$preset" "$@" || fail "cmake failed; its words are above"
  cmake --build --preset "$preset"
}
