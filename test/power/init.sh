#!/bin/busybox sh
# The first process of the virtual machine: loads the modules, mounts the medium and starts the workload.
bb=/bin/busybox
$bb mount -t devtmpfs dev /dev
$bb mount -t proc proc /proc
$bb mount -t sysfs sys /sys
$bb stty raw -echo
# A machine that nobody ends any more ends itself.
( $bb sleep 600; $bb poweroff -f ) &
for module in $($bb cat /modules/order); do $bb insmod "/modules/$module" || echo "@bad insmod $module"; done
# The kernel registers devices when it gets to it.
device=
while [ -z "$device" ]; do
  $bb usleep 20000
  device=$($bb ls /dev/vda /dev/pmem0 2>/dev/null)
done
case $device in
  /dev/pmem0) options=dax=always ;;
  *) options=commit=1 ;;
esac
$bb mount -t ext4 -o $options "$device" /disk || echo "@bad mount $device"
cd /app
/bin/node guest.mjs
echo "@bad node ended with $?"
$bb poweroff -f
