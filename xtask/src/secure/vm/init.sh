#!/bin/busybox sh
# The first program of the virtual machine: makes a root from this machine's own folders, read-only, and starts what
# is to be run in it. `shares`: folders besides the system's own; `modules`: what the kernel needs for them.
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t devtmpfs dev /dev
for module in $($b cat /modules); do $b modprobe "$module" || echo "no module $module"; done
$b mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose host /host || $b poweroff -f
$b mount -t tmpfs -o mode=755 root /root
cd /root || exit
for folder in bin sbin lib lib32 lib64 libx32 usr etc root var opt home; do
  if [ -L "/host/$folder" ]; then $b cp -a "/host/$folder" .
  elif [ -d "/host/$folder" ]; then $b mkdir "$folder" && $b mount --bind "/host/$folder" "$folder"
  fi
done
$b mkdir proc sys dev tmp run
$b mount -t tmpfs -o mode=1777 tmp tmp
$b mount -t tmpfs run run
for share in $($b cat /shares); do
  [ -d "./$share" ] || $b mkdir -p "./$share"
  $b mount --bind "/host/$share" "./$share"
done
$b cp /inside run/inside
$b mount -t proc proc proc
$b mount -t sysfs sys sys
$b mount -t devtmpfs dev dev
$b mkdir -p dev/pts dev/shm
$b mount -t devpts devpts dev/pts
$b mount -t tmpfs -o mode=1777 shm dev/shm
$b mount -t cgroup2 -o nsdelegate cgroup2 sys/fs/cgroup
$b ip link set lo up
$b umount /proc
exec $b switch_root /root /bin/bash /run/inside
