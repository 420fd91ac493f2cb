#!/bin/sh
# The first process of a workspace's container. It makes the account, sees to an SSH server, and
# runs that until the container is to end.
#
# POSIX sh, for the sh of any image. It uses the image's programs from the usual places, and neither
# the image's PATH nor anybody's start-up files; the container's environment goes to the sessions.
#
# Its input is the environment, KWORKSPACE_BOOT_ and:
#   MODE       root: as root, who makes the account and may install; user: as the account itself
#   USER, UID, GID, HOME, SHELL   of the account; in MODE=root an existing home's owner counts more
#   GROUPS     more group ids of the account, in MODE=root
#   SUDO       1: the account may do everything with sudo
#   PORT       where SSH listens
#   LISTEN     the address where it listens; all of them if it is not set
#   PRINCIPAL  what a certificate of the user authority must name
#   FILES      where the Secret is mounted (/etc/kworkspace)
#   RUN        a directory of its own (/run/kworkspace)
#
# It ends with one line on stderr that says why, and with a code of sysexits(3):
#   64 a part of the input is missing   66 so is a file of the Secret
#   69 no SSH server, and none to be had   70 the SSH server ends again and again
#   73 a file cannot be written   77 it does not run as root   78 something does not fit together

set -u
umask 022

say() {
    printf '%s\n' "$*" >&2
}

fail() {
    code=$1
    shift
    say "$*"
    exit "$code"
}

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
# Libraries and modules that an image is made for are not those of the system's own programs.
unset LD_LIBRARY_PATH LD_PRELOAD LD_AUDIT PYTHONHOME PYTHONPATH CDPATH ENV BASH_ENV

for name in MODE USER UID GID HOME SHELL PORT PRINCIPAL; do
    eval "value=\${KWORKSPACE_BOOT_$name-}"
    [ -n "$value" ] || fail 64 "KWORKSPACE_BOOT_$name is not set"
done
mode=$KWORKSPACE_BOOT_MODE
user=$KWORKSPACE_BOOT_USER
uid=$KWORKSPACE_BOOT_UID
gid=$KWORKSPACE_BOOT_GID
home=$KWORKSPACE_BOOT_HOME
shell=$KWORKSPACE_BOOT_SHELL
files=${KWORKSPACE_BOOT_FILES:-/etc/kworkspace}
run=${KWORKSPACE_BOOT_RUN:-/run/kworkspace}
ssh=$run/ssh
config=$ssh/sshd_config
log=$ssh/install.log

has() {
    command -v "$1" >/dev/null 2>&1
}

# --- what to run -----------------------------------------------------------------------------------

find_sshd() {
    for sshd in /usr/sbin/sshd /usr/local/sbin/sshd /sbin/sshd /usr/bin/sshd /usr/local/bin/sshd; do
        [ -x "$sshd" ] && return 0
    done
    return 1
}

# In the background, so that the container can be told to end meanwhile.
install_with() {
    case $1 in
    apt-get)
        (
            # Nothing is started by it: RUNLEVEL=1 is what invoke-rc.d goes by.
            DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
            export DEBIAN_FRONTEND RUNLEVEL
            apt-get -q update && apt-get -qy --no-install-recommends install "$2"
        ) >"$log" 2>&1 </dev/null &
        ;;
    apk) apk add --no-cache "$2" >"$log" 2>&1 </dev/null & ;;
    *) "$1" -y install "$2" >"$log" 2>&1 </dev/null & ;;
    esac
    wait "$!"
}

# Install a package; its name is the same everywhere. On failure `why` says what was wrong.
install_package() {
    for installer in apt-get apk dnf microdnf ''; do
        [ -n "$installer" ] && has "$installer" && break
    done
    if [ -z "$installer" ]; then
        why="there is none of apt-get, apk, dnf and microdnf to install it with"
        return 1
    fi
    say "Installing $1 with $installer, as the image has none"
    install_with "$installer" "$1" && return 0
    cat "$log" >&2
    why="$installer failed: $(sed '/^[[:space:]]*$/d' "$log" | tail -n 1)"
    return 1
}

see_to_sshd() {
    find_sshd && return
    advice="use an image that has openssh-server"
    if [ "$mode" = user ]; then
        fail 69 "the image has no SSH server, and a plain user cannot install one: $advice"
    fi
    install_package openssh-server || fail 69 "the image has no SSH server, and $why: $advice"
    find_sshd || fail 69 "$installer installed openssh-server, and there is no sshd: $advice"
}

# --- the account, as root --------------------------------------------------------------------------

write() {
    printf '%s\n' "$2" 2>/dev/null >"$1" || fail 73 "$1 cannot be written: with a root file system \
that is only read, set c.KubeSpawner.uid to run as a plain user"
}

# Put a line before all others of a table, in place of the one that has its name.
put_line() {
    write "$1" "$2
$(sed "/^${2%%:*}:/d" "$1")"
}

see_to_home() {
    [ -d "$home" ] || mkdir -p "$home" || fail 73 "the home $home cannot be made"
    # shellcheck disable=SC2046  # it is to be split
    set -- $(ls -ldn "$home")
    owner=$3 group=$4
    if [ "$owner" -ne 0 ]; then
        uid=$owner gid=$group
        [ "$gid" -ne 0 ] || gid=$uid
        return
    fi
    # A new volume is root's. A group that it was given by the cluster stays.
    [ "$group" -ne 0 ] || group=$gid
    [ -d /etc/skel ] && is_empty "$home" && fill_home
    chown "$uid:$group" "$home" || fail 73 "the home $home is root's, and cannot be given to $user"
    chmod o-w "$home"
}

is_empty() {
    for entry in "$1"/* "$1"/.[!.]* "$1"/..?*; do
        case $entry in
        */lost+found) ;;
        *) [ ! -e "$entry" ] && [ ! -L "$entry" ] || return 1 ;;
        esac
    done
}

# What useradd -m puts into a new home.
fill_home() {
    for entry in /etc/skel/* /etc/skel/.[!.]*; do
        [ -e "$entry" ] || continue
        cp -R "$entry" "$home/" && chown -R "$uid:$group" "$home/${entry##*/}"
    done
}

see_to_account() {
    case $user:$uid in
    root:* | *:0) fail 78 "the account of a workspace cannot be root" ;;
    esac
    if [ ! -x "$shell" ]; then
        say "The image has no $shell: the shell is /bin/sh"
        shell=/bin/sh
    fi
    [ -e /etc/group ] || : >/etc/group
    for each in $gid ${KWORKSPACE_BOOT_GROUPS-}; do
        see_to_group "$each"
    done
    # `*` is no password, and not locked: sshd lets nobody in whose account is locked.
    password='*'
    if [ -e /etc/shadow ]; then
        password=x
        put_line /etc/shadow "$user:*:19000:0:99999:7:::"
    fi
    [ -e /etc/passwd ] || : >/etc/passwd
    put_line /etc/passwd "$user:$password:$uid:$gid:$user:$home:$shell"
    if [ -d /etc/profile.d ] && [ -e "$files/profile.sh" ]; then
        write /etc/profile.d/kworkspace.sh "$(cat "$files/profile.sh")"
    fi
}

# Have a group with this id that the account is in.
see_to_group() {
    if ! grep -q "^[^:]*:[^:]*:$1:" /etc/group; then
        group=$user
        ! grep -q "^$user:" /etc/group || group=$user-$1
        put_line /etc/group "$group:x:$1:$user"
        return
    fi
    write /etc/group "$(sed -e "/^[^:]*:[^:]*:$1:.*[^:]\$/s/\$/,/" \
        -e "/^[^:]*:[^:]*:$1:/s/\$/$user/" /etc/group)"
}

see_to_sudo() {
    [ "${KWORKSPACE_BOOT_SUDO-}" = 1 ] || return 0
    if ! has sudo && ! install_package sudo; then
        say "There is no sudo in this workspace: $why"
        return
    fi
    mkdir -p /etc/sudoers.d
    write /etc/sudoers.d/kworkspace "$user ALL=(ALL:ALL) NOPASSWD: ALL"
    chmod 440 /etc/sudoers.d/kworkspace
    grep -q '^[@#]includedir */etc/sudoers.d' /etc/sudoers 2>/dev/null ||
        printf '%s\n' '#includedir /etc/sudoers.d' >>/etc/sudoers
}

# --- the account, as itself ------------------------------------------------------------------------

check_account() {
    have=$(id -u)
    [ "$have" = "$uid" ] || fail 78 "the container runs as uid $have, and its account has uid $uid: \
set c.KubeSpawner.uid = $have"
    grep -q "^$user:[^:]*:$uid:" /etc/passwd ||
        fail 78 "/etc/passwd has no $user with uid $uid: nothing may be mounted over it"
    [ -x "$shell" ] || fail 78 "the image has no $shell, without which sshd lets nobody in: \
set c.KubeSpawner.shell"
    [ -d "$home" ] || mkdir -p "$home" 2>/dev/null ||
        fail 73 "there is no $home, and uid $uid cannot make it: mount a volume there"
    [ -w "$home" ] || fail 73 "uid $uid cannot write to its home $home: set c.KubeSpawner.fs_gid"
    if [ -d /etc/skel ] && is_empty "$home"; then
        cp -R /etc/skel/. "$home/" 2>/dev/null
    fi
}

# --- the SSH server --------------------------------------------------------------------------------

# A Secret's files lie below a directory that everybody may write to, and so do those of an
# emptyDir: sshd takes no keys from there.
make_directory() {
    may=700
    [ "$mode" = user ] || may=711 # the account reads its keys itself, by their names
    { mkdir -p "$ssh" && chmod "$may" "$ssh"; } || fail 73 "$ssh cannot be made"
    [ "$mode" = user ] || mkdir -p /run/sshd || fail 73 "/run/sshd cannot be made"
}

# Copy what may change while the workspace runs, if it has: the kubelet writes a new directory and
# then changes what the link ..data names.
copy_keys() {
    from=$(cd -P "$files/..data" 2>/dev/null && pwd) || from=$files
    [ "$from" != "${copied-}" ] || return 0
    copy_file authorized_keys 644 && copy_file user_ca.pub 644 || return 1
    renew_certificate
    [ "$from" = "$files" ] || copied=$from
}

# Have the SSH server show another certificate for its host key; it reads that when it starts, and
# at this signal starts anew, with the sessions that there are (sshd(8), SIGHUP).
renew_certificate() {
    [ -n "${certificate-}" ] && [ -n "${server-}" ] || return 0
    [ "$(cat "$from/${certificate##*/}" 2>/dev/null)" != "$(cat "$certificate")" ] || return 0
    copy_file "${certificate##*/}" 644 && kill -HUP "$server" 2>/dev/null
}

copy_file() {
    missing=$1
    cat "$from/$1" >"$ssh/$1.new" 2>/dev/null || return 1
    chmod "$2" "$ssh/$1.new"
    mv -f "$ssh/$1.new" "$ssh/$1"
}

# Print the container's environment as sshd_config has it.
environment() {
    release=$("$sshd" -V 2>&1 | sed -n 's/.*OpenSSH_\([0-9]*\)\.\([0-9]*\).*/\1 \2/p' | head -n 1)
    release=$((${release% *} * 100 + ${release#* }))
    if [ "$release" -lt 708 ]; then
        say "The image's OpenSSH is older than 7.8: sessions get none of the container's variables"
        return
    fi
    escaped='s/[\\"]/\\&/g'
    [ "$release" -ge 807 ] || escaped=
    printf SetEnv # once: further lines of it do not count
    left_out=
    line_end=$(printf '\001')
    # The environment as it was at the start, a variable a line, with \001 for line ends in it.
    while IFS= read -r variable; do
        case $variable in
        KWORKSPACE_BOOT_* | KWORKSPACE_PATH=* | HOME=* | USER=* | LOGNAME=* | SHELL=* | MAIL=*) ;;
        PWD=* | OLDPWD=* | SHLVL=* | _=* | TERM=* | SSH_*) ;;
        PATH=*) hand_on "$variable" && hand_on "KWORKSPACE_$variable" ;;
        *=*) hand_on "$variable" ;;
        esac
    done <<END
$(tr '\n\000' '\001\n' <"/proc/$$/environ" | sed "$escaped")
END
    printf '\n'
    [ -z "$left_out" ] ||
        say "Variables that this SSH server cannot hand on to sessions:$left_out"
}

hand_on() {
    case $escaped:$1 in
    *"$line_end"* | :*\"*) left_out="$left_out ${1%%=*}" ;;
    *) printf ' "%s"' "$1" ;;
    esac
}

write_config() {
    strict=yes
    [ "$mode" = root ] || strict=no # all that is here is the account's own
    {
        cat <<END
Port $KWORKSPACE_BOOT_PORT
${KWORKSPACE_BOOT_LISTEN:+ListenAddress $KWORKSPACE_BOOT_LISTEN}
HostKey $ssh/ssh_host_ed25519_key
${certificate:+HostCertificate $certificate}
PidFile none
UsePAM no
StrictModes $strict
AllowUsers $user
PermitRootLogin no
AuthenticationMethods publickey
PasswordAuthentication no
KbdInteractiveAuthentication no
AuthorizedKeysFile $ssh/authorized_keys
TrustedUserCAKeys $ssh/user_ca.pub
AuthorizedPrincipalsFile $ssh/principals
AcceptEnv LANG LANGUAGE LC_* TZ COLORTERM NO_COLOR TERM_PROGRAM TERM_PROGRAM_VERSION
AcceptEnv GIT_AUTHOR_* GIT_COMMITTER_* KWORKSPACE_ENV_*
X11Forwarding yes
PrintLastLog no
MaxStartups 100
MaxSessions 100
ClientAliveInterval 60
ClientAliveCountMax 5
Subsystem sftp internal-sftp
END
        environment
    } >"$config"
}

see_to_server() {
    make_directory
    see_to_sshd
    if [ "$mode" = root ]; then
        see_to_home
        see_to_account
        see_to_sudo
    else
        check_account
    fi
    umask 077
    { copy_keys && copy_file ssh_host_ed25519_key 600; } || fail 66 "$files has no $missing"
    certificate= # of the hub's host authority, for who trusts that
    copy_file ssh_host_ed25519_key-cert.pub 644 && certificate=$ssh/ssh_host_ed25519_key-cert.pub
    printf '%s\n' "$KWORKSPACE_BOOT_PRINCIPAL" >"$ssh/principals"
    chmod 644 "$ssh/principals"
    write_config
    said=$("$sshd" -t -f "$config" 2>&1) ||
        fail 78 "sshd does not accept its configuration: $(printf '%s\n' "$said" | tail -n 1)"
    umask 022
}

start_sshd() {
    "$sshd" -D -e -f "$config" &
    server=$!
    begun=$(date +%s)
}

# Have every process end, and wait until it has; whatever does not is killed with the container.
end() {
    # A session's terminal is closed by its sshd, and that ends shells.
    if [ $$ -eq 1 ]; then
        kill -TERM -1
        while set -- /proc/[0-9]* && [ $# -gt 1 ]; do
            sleep 0.1 2>/dev/null || sleep 1
        done
    else # others' processes can be among them
        # shellcheck disable=SC2046  # it is to be split
        kill -TERM $(cat "/proc/$server/task/$server/children" 2>/dev/null) "$server" 2>/dev/null
        wait "$server"
    fi
    exit 0
}

stopping='' early=0
trap 'exit 0' TERM INT
case $mode in
root) [ "$(id -u)" -eq 0 ] || fail 77 "the container runs as uid $(id -u), not as root: \
set c.KubeSpawner.uid = $(id -u)" ;;
user) ;;
*) fail 64 "KWORKSPACE_BOOT_MODE is '$mode', and can be root or user" ;;
esac
see_to_server
trap 'stopping=1' TERM INT
start_sshd
while [ -z "$stopping" ]; do
    # Whoever waits also collects orphans, which are the first process's to collect.
    sleep 2 &
    wait "$!"
    copy_keys || say "$files has no $missing: the keys stay as they are"
    if [ -z "$stopping" ] && ! kill -0 "$server" 2>/dev/null; then
        # Sessions live on without it, so it is worth a few tries.
        early=$((early + 1))
        [ $(($(date +%s) - begun)) -lt 10 ] || early=0
        [ "$early" -lt 5 ] || fail 70 "the SSH server ends again and again"
        say "The SSH server ended, and is started again"
        start_sshd
    fi
done
end
