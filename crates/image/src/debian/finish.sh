# What the scripts of the packages would have done on a whole system, as far as a
# sandbox needs it. Runs inside the new root, in /bin/sh -eu. No single quotes: the
# text is one argument of a shell.

# Accounts and names.
cp /usr/share/base-passwd/passwd.master /etc/passwd
cp /usr/share/base-passwd/group.master /etc/group
printf "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n" > /etc/nsswitch.conf
printf "networks: files\nprotocols: files\nservices: files\n" >> /etc/nsswitch.conf
printf "127.0.0.1\tlocalhost\n::1\tlocalhost\n" > /etc/hosts
cp /usr/share/base-files/dot.profile /root/.profile
cp /usr/share/base-files/dot.bashrc /root/.bashrc
cp /usr/share/base-files/profile /etc/profile
chmod 644 /etc/passwd /etc/group /etc/nsswitch.conf /etc/hosts /etc/profile

# Of the machine that made the image.
rm -f /etc/resolv.conf /etc/hostname /etc/machine-id /etc/mtab

# Authorities that sign the certificates of servers.
if [ -d /usr/share/ca-certificates/mozilla ]; then
    cat /usr/share/ca-certificates/mozilla/*.crt > /etc/ssl/certs/ca-certificates.crt
fi

# Alternatives.
for pair in awk:mawk nawk:mawk which:which.debianutils; do
    if [ -e /usr/bin/${pair#*:} ]; then
        ln -sf ${pair#*:} /usr/bin/${pair%%:*}
    fi
done

# Places that anyone may write to.
mkdir -p /tmp /var/tmp /run/lock /usr/local/bin
chmod 1777 /tmp /var/tmp /run/lock

# Where libraries are, for those that ask; and Python as it runs, not only as it is
# written: each start would translate it anew. Its times are not looked at.
ldconfig
if [ -x /usr/bin/python3 ]; then
    python3 -m compileall -q --invalidation-mode unchecked-hash /usr/lib/python3*
fi
rm -rf /var/cache/ldconfig
