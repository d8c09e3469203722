#!/bin/busybox sh
# The first process of the machine. The TAP of the guest scripts goes to ttyS1:
#     # script NAME
#     (what it prints, with its plan, or several)
#     # exit STATUS
# and `# done` behind the last.
/bin/busybox --install -s /bin
export PATH=/fdial/bin:/fdial/tools:/bin:/usr/sbin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t tmpfs -o mode=0755 run /run
dmesg -n 1
ln -s /proc/self/fd /dev/fd
hostname guest
ifconfig lo up
cat >/etc/passwd <<END
root:x:0:0::/root:/bin/sh
fdiald:x:990:990::/run:/bin/false
client:x:12345:12345::/tmp:/bin/sh
nobody:x:65534:65534::/tmp:/bin/false
END
cat >/etc/group <<END
root:x:0:
fdiald:x:990:
fdial:x:991:client
client:x:12345:
nogroup:x:65534:
END
echo '127.0.0.1 localhost guest' >/etc/hosts
while read -r module; do
    insmod "/modules/$module.ko"
done </modules/order

stty -F /dev/ttyS1 raw
exec 3>/dev/ttyS1
for script in /fdial/guest/[0-9]*.sh; do
    echo "# script ${script##*/}" >&3
    timeout 200 sh "$script" >&3
    echo "# exit $?" >&3
done
echo '# done' >&3
exec 3>&-
sync
poweroff -f
