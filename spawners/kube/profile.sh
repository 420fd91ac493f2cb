# Read by login shells, as /etc/profile.d/kworkspace.sh. The container's PATH, which the image set
# and /etc/profile replaces on many systems, comes first again.
if [ -n "${KWORKSPACE_PATH-}" ]; then
    case $PATH in
    "$KWORKSPACE_PATH" | "$KWORKSPACE_PATH":*) ;;
    *) PATH=$KWORKSPACE_PATH:$PATH ;;
    esac
fi
