# A fresh machine for the other scripts of this folder: a minimal Debian or Ubuntu in a folder. Sourced; needs root and debootstrap.
# CRYODECO_SUITE names the suite (this system's own unless given), CRYODECO_MACHINES a folder that keeps bases from one run to the next.
source_root=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
suite=${CRYODECO_SUITE:-$(. /etc/os-release && echo "$VERSION_CODENAME")}
[ "$(id -u)" -eq 0 ] && command -v debootstrap >/dev/null || { echo "skipped: root and debootstrap are needed"; exit 0; }

machines=${CRYODECO_MACHINES:-$(mktemp -d)}
base=$machines/$suite
place=$machines/$suite-$$
clear_machine() {
    local part
    for part in proc dev; do mountpoint -q "$place/$part" && umount "$place/$part"; done
    rm -rf --one-file-system "$place"
    [ -n "${CRYODECO_MACHINES:-}" ] || rm -rf --one-file-system "$machines"
}
trap clear_machine EXIT

if [ ! -e "$base/made" ]; then
    rm -rf "$base"
    components=main
    [[ $(readlink -f "/usr/share/debootstrap/scripts/$suite") == *gutsy ]] && components=main,universe # Ubuntu's
    debootstrap --variant=minbase --include=ca-certificates --components="$components" "$suite" "$base" >"$machines/$suite.log" 2>&1 ||
        { tail -n 5 "$machines/$suite.log"; exit 1; }
    # what this network asks of its machines
    cp /etc/resolv.conf "$base/etc/resolv.conf"
    cp -L /etc/ssl/certs/ca-certificates.crt "$base/etc/ssl/certs/ca-certificates.crt"
    printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' >"$base/etc/pip.conf"
    touch "$base/made"
fi
cp -a "$base" "$place"
mount --bind /proc "$place/proc"
mount --bind /dev "$place/dev"

# there COMMAND: in the machine, as root, with an environment of its own
there() { env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive chroot "$place" /bin/bash -c "cd; $*"; }
say() { printf '\033[1m== %s\033[0m\n' "$*"; }
expect() { grep -q -- "$1" <<<"$2" || { printf 'no "%s" in:\n%s\n' "$1" "$2"; exit 1; }; }
# What a clone has, and nothing that was built here.
clone_there() {
    mkdir -p "$place/root/cryodeco"
    git -C "$source_root" ls-files -z | (cd "$source_root" && tar -c --null -T -) | tar -x --no-same-owner -C "$place/root/cryodeco"
}
