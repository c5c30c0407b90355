#!/bin/bash
# debian-root.sh ROOT DIR COMMAND...
# Runs COMMAND inside the Debian tree at ROOT, where DIR is visible under its own name. Needs root.
#
# The mounts are made in a mount namespace of the command's own, so they are gone when it is, however it ends, and ROOT can
# be deleted without looking twice. Everything is exec'd: the process id that the caller sees is the command's, and so a
# signal, or the parent-death signal that the caller has set, reaches it and not some shell in between.
set -e
root=$1 dir=$2
shift 2
exec unshare --mount --propagation private bash -c '
  set -e
  root=$1 dir=$2
  shift 2
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mount --rbind /sys "$root/sys"
  mkdir -p "$root$dir"
  mount --rbind "$dir" "$root$dir"
  cp -L /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || true
  exec chroot "$root" /usr/bin/env -i HOME=/root LANG=C.UTF-8 TERM=dumb \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
' enter-root "$root" "$dir" "$@"
