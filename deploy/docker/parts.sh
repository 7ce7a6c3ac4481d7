#!/bin/sh
# Collects a program, the shared libraries it links to, and what a process expects to find into a folder that is a
# complete root file system.
#   parts.sh PROGRAM FOLDER PACKAGE...
# PACKAGE: Debian packages whose files are included too, for the SBOM.
set -eu
program=$1 root=$2
shift 2

take() { # the file under the name that it is asked for, and not as a link
    mkdir -p "$root${1%/*}"
    cp -L "$1" "$root$1"
}

take "$program"
libraries=$(ldd "$program" | sed -nE 's/^[[:space:]]*(.* => )?(\/[^ ]+) \(0x[0-9a-f]+\)$/\2/p')
test -n "$libraries"
for library in $libraries; do take "$library"; done
take /etc/ssl/certs/ca-certificates.crt

# Where scanners look for packages in images without a package manager; and the licences.
mkdir -p "$root/var/lib/dpkg/status.d"
packages=$(for library in $libraries; do
    real=$(readlink -f "$library")
    # A package may list it under /lib, which is a symlink nowadays.
    dpkg-query --search "$real" 2>/dev/null || dpkg-query --search "${real#/usr}"
done | cut -d: -f1)
for package in $(printf '%s\n' "$packages" "$@" | sort -u); do
    dpkg-query --status "$package" >"$root/var/lib/dpkg/status.d/$package"
    take "/usr/share/doc/$package/copyright"
done

mkdir -p "$root/etc" "$root/tmp"
chmod 1777 "$root/tmp"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
printf '%s\n' root:x:0:0:root:/:/sbin/nologin lacuna:x:10001:10001::/tmp:/sbin/nologin >"$root/etc/passwd"
printf '%s\n' root:x:0: lacuna:x:10001: >"$root/etc/group"
take /etc/os-release
