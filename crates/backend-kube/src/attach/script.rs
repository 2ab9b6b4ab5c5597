//! The scripts that run in sandboxes, for any POSIX shell.

/// The shell.
pub(super) const SHELL: &str = "/bin/sh";

/// Runs a command whose input comes in frames.
///
/// A frame is a line and what it announces: `N` and a newline, and N bytes of
/// input; `0`, the end of input; `sN`, signal N for the command and all that it
/// started. If the frames end without that having been said, nobody is there any
/// more, and everything in the group of processes is killed, this included: it is
/// a session of its own, as everything is that a runtime starts in a container.
///
/// The reader of frames says its own number first, so that it can be ended with
/// the command. `dd` is the one tool that never reads further than it is told to.
/// What the shells themselves would say goes nowhere. The arguments
/// are the command.
pub(super) const COMMAND: &str = r#"
exec 3<&0 </dev/null 4>&2 2>/dev/null
stay() { for s in HUP INT QUIT TERM USR1 USR2 ALRM; do trap : $s; done; }
stay
frames() {
  stay
  trap '' PIPE
  /bin/sh -c 'echo $PPID'
  while IFS= read -r n <&3; do
    case $n in
      0) exec >/dev/null ;;
      s*) kill "-${n#s}" 0 ;;
      *) dd bs="$n" count=1 iflag=fullblock <&3 || exec >/dev/null ;;
    esac
  done
  kill -9 0
}
frames 4>&- | {
  stay
  IFS= read -r f
  "$@" 2>&4 3<&- 4>&-
  c=$?
  kill -9 $f
  exit $c
}
"#;

/// Writes a file of `$2` bytes with the digest `$3` to `$1`, whole or not at all.
pub(super) const WRITE: &str = r#"
p=$1
[ -d "$p" ] && exit 42
[ -L "$p" ] && p=$(readlink -f -- "$p")
[ -e "$p" ] && [ ! -f "$p" ] && exit 47
d=${p%/*}
mkdir -p -- "${d:-/}" || exit 45
t=$p.$$.palisade
trap 'rm -f -- "$t"' EXIT
head -c "$2" >"$t" || exit 45
[ "$(wc -c <"$t")" -eq "$2" ] || exit 46
if command -v sha256sum >/dev/null; then
  h=$(sha256sum <"$t")
  [ "${h%% *}" = "$3" ] || exit 46
fi
m=$(stat -c %a -- "$p" 2>/dev/null) && chmod "$m" -- "$t" 2>/dev/null
mv -f -- "$t" "$p" || exit 45
trap - EXIT
"#;

/// Reads the file `$1` of at most `$2` bytes: its size, a newline, and itself.
pub(super) const READ: &str = r#"
p=$1
[ -d "$p" ] && exit 42
[ -e "$p" ] || [ -L "$p" ] || { ls -d -- "$p" >/dev/null; exit 41; }
[ -f "$p" ] || exit 47
[ -r "$p" ] || exit 43
n=$(wc -c <"$p") || exit 45
n=$((n))
echo "$n"
[ "$n" -gt "$2" ] && exit 44
exec cat -- "$p"
"#;

/// Sends a signal to the main process: the oldest one of this container that no
/// other process of the pod started.
pub(super) const SIGNAL: &str = r#"
mine() { while IFS= read -r l; do echo "$l"; done 2>/dev/null <"/proc/$1/cgroup"; }
own=$(mine $$)
main= since=
for d in /proc/[0-9]*; do
  q=${d#/proc/}
  IFS= read -r s 2>/dev/null <"$d/stat" || continue
  set -- "$1" ${s##*) }
  [ "$3" = 0 ] && [ "$q" != $$ ] && [ "$(mine "$q")" = "$own" ] || continue
  if [ -z "$since" ] || [ "${21}" -lt "$since" ]; then main=$q since=${21}; fi
done
[ -n "$main" ] && kill "-$1" "$main"
"#;

/// Shows which ports are listened at.
pub(super) const LISTENERS: &str = "cat /proc/net/tcp /proc/net/tcp6 2>/dev/null || :";

#[cfg(test)]
mod tests;
