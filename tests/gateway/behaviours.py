"""What OpenSSH does, as one table: each row is run in all places, and the results are compared.

A row is a script of bash on a person's machine, in an empty directory; `ssh ws`, and scp, sftp and
rsync likewise, go to the workspace. What the person sees must be what they see with OpenSSH's sshd
as the workspace and nothing in between: output, errors, exit status, and the files on both sides.
The script finds:

    $W           an empty directory in the workspace, whose file system is the same one
    $BLOB        a file of 4 MiB, twice a window of OpenSSH's, on both sides
    $PORT $PORT2 ports to listen on; $CLOSED, where nobody listens
    $ECHO        a port of an echo service, and $COUNT, of one that answers when the input has
                 ended, so that it tells a half-close from a close; $COUNT_SOCK is a Unix socket
    peer ADDRESS the client for them, from stdin to stdout; in the workspace $PEER
    $AGENT       an agent's socket, and $AGENT_KEY the file of the public key that it has
    $CTL         what begins a shared connection; `ssh -S ctl ws` uses it, `$END` ends it

The dialogues, in terminals and of editors, are in `dialogues`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Resize:
    """Typed in a dialogue: the person makes the window another size."""

    columns: int
    rows: int


_OF_A_CONNECTION = {f"-{letter}" for letter in "ACDJLMNRSTWYafostv"}

Step = tuple[str, str | Resize]
"""What must be seen (after what the last step has seen), and what is typed then, in Latin-1."""


@dataclass(frozen=True, slots=True)
class Row:
    """One behaviour.

    Attributes:
        name: for people.
        script: what is run.
        stdin: its input.
        terminal: the dialogue, for a row that is run in a terminal.
        pty: whether sshd must hand out a terminal, which it does only for root.
    """

    name: str
    script: str
    stdin: bytes = b""
    terminal: tuple[Step, ...] = ()
    pty: bool = False

    @property
    def may_share(self) -> bool:
        """Whether it says nothing of the connection itself."""
        return not self.pty and not _OF_A_CONNECTION & {word[:2] for word in self.script.split()}


LOG = "sed 's/failed: open failed/failed: Connection refused/' log; rm log"  # sshd says either
CTL = "ssh -fNM -S ctl -o ExitOnForwardFailure=yes"
END = "ssh -S ctl -O exit ws 2>&1"

ALL_BYTES = bytes(range(256)) * 64

EXEC = [
    Row("exit 0", "ssh ws true"),
    Row("exit 255 is the command's, too", "ssh ws 'echo mine; exit 255'"),
    Row(
        "exit codes",
        f"{CTL} ws; for n in {{0..255..15}} 1 2 126 127 128 129 254; do"
        f' ssh -S ctl ws "exit $n"; echo $n $?; done; {END}',
    ),
    Row("exit signal", "ssh ws 'kill -TERM $$'"),
    Row("exit signal in a terminal", "ssh -tt ws 'kill -TERM $$'", pty=True),
    Row(
        "exit signals",
        f"{CTL} ws; for s in HUP INT QUIT ABRT KILL SEGV PIPE TERM USR1 USR2 40; do"
        f' ssh -S ctl ws "ulimit -c 0; kill -$s \\$\\$"; echo $s $?; done; {END}',
    ),
    Row("kill -9 of the shell", "ssh ws 'echo before; kill -9 $$; echo never'"),
    Row("kill -9 of the shell in a terminal", "ssh -tt ws 'echo on; kill -9 $$'", pty=True),
    Row("no such command", "ssh ws no-such-program-anywhere"),
    Row("empty command", "ssh ws ''", b"echo from stdin: $0\n"),
    Row("login shell on pipes", "ssh -T ws", b"echo from the shell; shopt login_shell; exit 5\n"),
    Row("command of 100 kB", 'ssh ws "echo $(head -c 100000 /dev/zero | tr "\\0" x) | sha256sum"'),
    Row("command that is not UTF-8", "ssh ws $'printf %s \"\\xff\\xfe\\xe4\" | od -An -tx1'"),
    Row("quotes and newlines", 'ssh ws $\'printf "%s\\\\n" "a  b" \\\'c\\\'\\necho "$((1+1))"\''),
    Row("a command with a hyphen", "ssh ws -- -odd; echo $?; ssh -- ws echo -n; echo $?"),
    Row("several words are one command", "ssh ws echo '/et[c]' '\"a   b\"' '$((40 + 2))'"),
    Row("quiet", "ssh -q ws 'echo err >&2; exit 3'"),
    Row(
        "what the client is told",
        "ssh -v ws 'exit 9' 2>log; echo $?; grep -o 'rtype exit.*' log; rm log",
    ),
    Row(
        "what the client is told of a broken pipe",
        "ssh -v ws 'exec <&-; echo shut; read -t 0.3 _ <> <(:)' 2>log <$BLOB;"
        " grep -o 'rtype e.*' log | sort; rm log",
    ),
    Row(
        "locale",
        "LC_ALL=C.UTF-8 ssh -o SendEnv='LC_*' ws 'locale; printf \"ä\" | wc -m'",
    ),
    Row("umask, limits, directory", "ssh ws 'umask; ulimit -c; cd; [ \"$PWD\" = ~ ] && echo home'"),
]

STREAMS = [
    Row("half-close", "ssh ws 'cat; echo done'", b"typed\n"),
    Row("no input at all", "ssh ws wc -c"),
    Row("input from nowhere", "ssh -n ws 'cat; echo $?'", b"not read\n"),
    Row("4 MB in", "ssh ws sha256sum <$BLOB"),
    Row("4 MB out", 'ssh ws "cat $BLOB" | sha256sum'),
    Row("4 MB both ways", "ssh ws cat <$BLOB | cmp - $BLOB && echo same"),
    Row("every byte, both ways", "ssh ws cat", ALL_BYTES),
    Row("every byte on stderr", "ssh ws 'cat >&2'", ALL_BYTES),
    Row("stderr apart", "ssh ws 'echo out; echo err >&2; echo out2' 2>err"),
    Row("both outputs in turn", "ssh ws 'for i in {1..3000}; do echo o$i; echo e$i >&2; done'"),
    Row("both outputs in bulk", "ssh ws 'yes 12345678 | head -n 400000 | tee /dev/stderr'"),
    Row("written just before the exit", "ssh ws 'head -c 3000000 /dev/zero; exit 9' | wc -c"),
    Row("reader that goes", "ssh ws yes | head -1; echo ${PIPESTATUS[0]}"),
    Row(
        "reader that goes, and what the command says after that",
        # Not at once: the client still shows it until it has closed the channel.
        "ssh ws 'yes 2>/dev/null; sleep 0.3; echo last >&2' | head -1; echo ${PIPESTATUS[0]}",
    ),
    Row(
        "writer without end",
        "cat /dev/zero | ssh ws 'head -c 10 >/dev/null; echo enough'; echo ${PIPESTATUS[@]}",
    ),
    Row("input shut early", "ssh ws 'exec <&-; echo shut; exit 4' <$BLOB"),
    Row("outputs shut early", "ssh ws 'exec >&- 2>&-; sha256sum >$W/sum; exit 4' <$BLOB"),
    Row("a channel that stays idle", "ssh -oServerAliveInterval=1 ws 'echo a; sleep 2.5; echo b'"),
    Row("background job that keeps the pipes", "ssh ws '(sleep 0.5; echo late) & echo on; exit 3'"),
    Row("background job that lets go", "ssh ws 'sleep 9 >/dev/null 2>&1 </dev/null & echo on'"),
    Row(
        "nohup goes on",
        'ssh ws "nohup sh -c \'sleep 0.3; echo on >$W/new; mv $W/new $W/on\' >/dev/null 2>&1 &";'
        " until [ -e $W/on ]; do sleep 0.05; done",
    ),
    Row("-f", 'ssh -f ws "sleep 0.2; echo late >$W/n; mv $W/n $W/on"; echo gone; '
        "until [ -e $W/on ]; do sleep 0.05; done"),
    Row("-N", "ssh -N -L $PWD/s:$COUNT_SOCK ws & until [ -S s ]; do sleep 0.05; done;"
        " echo x | peer s | sed -n 1p; kill $!; wait $!; echo $?; rm -f s"),
]  # fmt: skip

ENVIRONMENT = [
    Row(
        "variables that are taken",
        "LC_ONE=1äß GIT_AUTHOR_NAME='A B' ssh -o SendEnv='LC_* GIT_*' -o SetEnv=LC_TWO=2 ws"
        " 'echo \"$LC_ONE|$GIT_AUTHOR_NAME|$LC_TWO\"'",
    ),
    Row(
        "variables that are not",
        "LD_PRELOAD_X=evil ssh -o SendEnv=LD_PRELOAD_X -o SetEnv='BASH_ENV=/x PATH=/evil FOO=1' ws"
        " 'echo \"[$LD_PRELOAD_X$BASH_ENV$FOO]\"; case $PATH in *evil*) echo evil; esac'",
    ),
    Row("TERM", "TERM=vt100 ssh -tt ws 'echo $TERM'", pty=True),
    Row("no TERM without a terminal", "ssh ws 'echo \"[$TERM$SSH_TTY]\"; tty'"),
    Row("terminal on pipes", "ssh -tt ws 'stty -a; tty | cut -c1-8; echo err >&2; exit 42'",
        pty=True),
    Row("terminal's end of input", "ssh -tt ws cat", b"line\n\x04", pty=True),
    Row("unknown subsystem", "ssh -s ws no-such-subsystem; echo $?"),
    Row("X11", "DISPLAY=127.0.0.1:9 ssh -Y ws 'echo \"[$DISPLAY]\"' 2>&1 | grep -v xauth"),
    Row("the environment's names", "ssh ws env | cut -d= -f1 | grep -v ^KWORKSPACE_ | sort"),
    Row("who and where", "ssh ws 'set -- $SSH_CONNECTION; echo $# $1 $3 $USER $LOGNAME $SHELL'"),
]  # fmt: skip

SFTP = "sftp -q -b -"
TREE = "mkdir -p 't/a b/ü'; head -c 70000 $BLOB >'t/a b/x'; echo >t/é; chmod 750 t/é; ln -s é t/l;"

FILES = [
    Row(
        "sftp",
        f"head -c 9999 $BLOB >blob; {SFTP} ws <<END\n"
        "put blob $W/b\nmkdir $W/d\nput -p blob $W/d/c\nsymlink b $W/l\nrename $W/d/c $W/d/e\n"
        "chmod 600 $W/b\nls -1 $W\nln $W/b $W/h\nget $W/d/e e\nrm $W/d/e\nrmdir $W/d\n"
        "cd $W\npwd\nEND",
    ),
    Row("sftp goes on with half a file",
        f"head -c 3000000 $BLOB >$W/b; cp $W/b b; echo \"reput $BLOB $W/b\" | {SFTP} ws;"
        f" echo \"reget $BLOB b\" | {SFTP} ws; cmp b $W/b"),
    Row("sftp that fails", f"printf \"ls -1 $W/none\\nput $BLOB $W/b\\n\" | {SFTP} ws; echo $?;"
        f" printf -- \"-rm $W/none\\nmkdir $W/d\\n\" | {SFTP} ws; echo $?"),
    Row("sftp knows what OpenSSH adds",
        "echo version | sftp -vv -b - ws 2>&1 | grep -E 'upports extension|SFTP protocol'"),
    *(
        Row(f"scp {mode} {name}", f"{TREE} scp -q {mode} {what}")
        for mode in ("-s", "-O")
        for name, what in {
            "up": "-rp t ws:$W/u",
            "down": "-r ws:$PWD/t $W/u",
            "odd names": "'t/a b/x' \"ws:$W/ä ö\" && scp -q {mode} \"ws:$W/ä?ö\" .",
            "that fails": "ws:$W/none here; echo $?; scp -q {mode} t ws:$W/; echo $?",
        }.items()
        for what in [what.replace("{mode}", mode)]
    ),
    Row("rsync up", f"{TREE} mkdir $W/u; echo >$W/u/old; rsync -a --delete t/ ws:$W/u/"),
    Row("rsync down", f"{TREE} mkdir u; echo >u/old; rsync -a --delete ws:$PWD/t/ u/"),
    Row("rsync of a change", "cp $BLOB $W/b; (cat $BLOB; echo more) >b; rsync --stats b ws:$W/b"
        " | grep -E 'Literal|Matched'; cmp b $W/b"),
    Row("rsync that fails", "rsync -a ws:$W/none . 2>&1 | sed 's/v=.*//'; echo ${PIPESTATUS[0]}"),
    Row("tar through a pipe", f"{TREE} tar c t | ssh ws \"tar x -C $W\"; ssh ws \"tar c -C $W t\" |"
        " tar t | sort"),
]  # fmt: skip

SHARED = [
    Row("twenty channels on one connection",
        f"{CTL} ws; for i in {{1..20}}; do ssh -S ctl ws \"echo $i\" & done | sort -n; {END}"),
    Row("-O check and exit", f"{CTL} ws; ssh -S ctl -O check ws 2>&1 | sed 's/=[0-9]*/=N/'; {END};"
        " ssh -S ctl -O check ws 2>/dev/null; echo $?"),
    Row("-O forward and cancel",
        f"{CTL} ws; ssh -S ctl -O forward -L $PORT:127.0.0.1:$COUNT ws; echo x | peer $PORT |"
        " sed -n 1p; ssh -S ctl -O cancel -L $PORT:127.0.0.1:$COUNT ws; echo x | peer $PORT;"
        f" {END}"),
    Row("-O forward of a remote port",
        f"{CTL} ws; p=$(ssh -S ctl -O forward -R 0:127.0.0.1:$COUNT ws);"
        ' ssh -S ctl ws "echo x | $PEER $p" | sed -n 1p;'
        " ssh -S ctl -O cancel -R 0:127.0.0.1:$COUNT ws;"
        f' ssh -S ctl ws "echo x | $PEER $p"; {END}'),
    Row("ControlPersist", "for i in 1 2 3; do ssh -oControlMaster=auto -oControlPersist=9 -S ctl ws"
        f" 'echo $PPID $SSH_CONNECTION'; done | sort -u | wc -l; {END}"),
    Row("commands that end while others run", f"{CTL} ws; ssh -S ctl ws cat <$BLOB | cmp - $BLOB &"
        f" for i in {{1..5}}; do ssh -S ctl ws 'exit 3'; echo $?; done; wait; {END}"),
    Row("half-close on a shared connection", f"{CTL} ws; ssh -S ctl ws 'cat; sleep 0.2; exit 6'"
        f" <$SSH_CONFIG | wc -l; echo ${{PIPESTATUS[0]}}; {END}"),
    Row("RekeyLimit", "ssh -oRekeyLimit=1M ws cat <$BLOB | cmp - $BLOB && echo same"),
    Row("Compression", "ssh -C ws cat <$BLOB | cmp - $BLOB && echo same"),
    Row("modern algorithms",
        "while read -r c m k; do ssh -n -c $c -m $m -oKexAlgorithms=$k ws echo $k; done"
        " <<'END'\naes128-gcm@openssh.com hmac-sha2-256 curve25519-sha256@libssh.org\n"
        "chacha20-poly1305@openssh.com hmac-sha2-256 curve25519-sha256\n"
        "aes256-ctr hmac-sha2-512-etm@openssh.com diffie-hellman-group16-sha512\n"
        "aes128-ctr umac-128-etm@openssh.com curve25519-sha256\nEND"),
    Row("old algorithms", "for o in Ciphers=aes128-cbc KexAlgorithms=diffie-hellman-group1-sha1"
        " HostKeyAlgorithms=ssh-dss; do ssh -o $o ws true 2>&1 |"
        " sed 's/with .*: no/no/; s/Their offer.*//'; done"),
]  # fmt: skip

FORWARDS = [
    Row("-L", f"{CTL} -L $PORT:127.0.0.1:$COUNT ws; peer $PORT <$BLOB; {END}"),
    Row("-L to a name", f"{CTL} -L $PORT:localhost:$ECHO ws;"
        f" head -c 300000 $BLOB | peer $PORT | sha256sum; {END}"),
    Row("-L of two at once", f"{CTL} -L $PORT:127.0.0.1:$COUNT -L $PORT2:127.0.0.1:$ECHO ws;"
        " peer $PORT <$BLOB >1 & peer $PORT2 <$BLOB >2; wait $!; head -1 1; rm 1; cmp 2 $BLOB;"
        f" {END}"),
    Row("-L to a closed port", f"{CTL} -E log -L $PORT:127.0.0.1:$CLOSED ws; peer $PORT </dev/null;"
        f" {END}; cat log; rm log"),
    Row("-L from a Unix socket to one", f"{CTL} -L $PWD/s:$COUNT_SOCK ws; ls -l s | cut -c1-10;"
        f" peer s <$BLOB | sed -n 1p; {END}; rm -f s"),
    # sshd does not say why.
    Row("-L to a Unix socket that is not there", f"{CTL} -E log -L $PORT:$W/none ws; peer $PORT"
        f" </dev/null; {END}; sed 's/connect failed: .*/connect failed/' log; rm log"),
    Row("-L in the place of a socket", f"touch s; {CTL} -oStreamLocalBindUnlink=yes -L"
        f" $PWD/s:$COUNT_SOCK ws; echo x | peer s | sed -n 1p; {END}; rm -f s"),
    Row("-R", 'ssh -R $PORT:127.0.0.1:$COUNT ws "$PEER $PORT <$BLOB"'),
    Row("-R to a Unix socket", 'ssh -R $PORT:$COUNT_SOCK ws "echo x | $PEER $PORT" | sed -n 1p'),
    Row("-R of a port that the workspace picks", 'ssh -R 0:127.0.0.1:$COUNT ws true 2>&1 |'
        " sed 's/[0-9]\\{4,\\}/N/g'"),
    Row("-R of many, of which the command can be sure",
        "ssh $(for i in {1..9}; do echo -R 0:127.0.0.1:$i; done) ws true 2>&1 | wc -l"),
    Row("-R of a port that is taken",
        f"{CTL} -R $PORT:127.0.0.1:$COUNT ws;"
        f" ssh -oExitOnForwardFailure=yes -R $PORT:127.0.0.1:$COUNT ws true; echo $?; {END}"),
    Row("-R to a closed port", 'ssh -R $PORT:127.0.0.1:$CLOSED ws "$PEER $PORT </dev/null"'),
    Row("-R without GatewayPorts", "ssh -R 0.0.0.0:$PORT:127.0.0.1:$COUNT ws"
        ' "$PEER 127.0.0.2:$PORT </dev/null; $PEER $PORT </dev/null | sed 1q"'),
    Row("-R of a Unix socket",
        'ssh -R $W/s:127.0.0.1:$COUNT ws "stat -c %A $W/s; $PEER $W/s <$BLOB; rm $W/s" |'
        " grep -v page"),
    Row("-R of a Unix socket to one",
        'ssh -R $W/s:$COUNT_SOCK ws "echo x | $PEER $W/s; rm $W/s" | sed -n 1p'),
    Row("-R of a Unix socket that is taken",
        "touch $W/s; ssh -oExitOnForwardFailure=yes -R $W/s:127.0.0.1:$COUNT ws true; echo $?"),
    Row("-R of a Unix socket that is left",
        'ssh -R $W/s:$COUNT_SOCK ws true; ssh -R $W/s:$COUNT_SOCK ws "$PEER $W/s <$BLOB | wc -c"'),
    Row("-O cancel of a Unix socket", f"{CTL} -R $W/s:$COUNT_SOCK ws; ssh -S ctl ws"
        ' "$PEER $W/s <$BLOB | wc -c"; ssh -S ctl -O cancel -R $W/s:$COUNT_SOCK ws;'
        f' ssh -S ctl ws "$PEER $W/s </dev/null"; {END}'),
    Row("-D", f"{CTL} -D $PORT ws; peer $PORT --socks 127.0.0.1:$COUNT <$BLOB;"
        f" echo x | peer $PORT --socks localhost:$ECHO; {END}"),
    Row("-D to a closed port", f"{CTL} -E log -D $PORT ws; peer $PORT </dev/null --socks"
        f" 127.0.0.1:$CLOSED; {END}; {LOG}"),
    Row("-W", "ssh -W 127.0.0.1:$COUNT ws <$BLOB"),
    Row("-W to a closed port", "ssh -W 127.0.0.1:$CLOSED ws 2>log; echo $?; " + LOG),
    Row("-W to a name that is none", "ssh -W no-such-name.invalid:80 ws; echo $?"),
    Row("-J", "ssh -J ws inner 'echo inside; cat; exit 7'", b"typed\n"),
    Row("-J with files", "scp -q -J ws $BLOB inner:$W/b; cmp $BLOB $W/b"),
    Row("-A", "SSH_AUTH_SOCK=$AGENT ssh -A ws 'ssh-add -l; test -S $SSH_AUTH_SOCK && echo lent'"),
    Row("-a", "export SSH_AUTH_SOCK=$AGENT; ssh -a ws 'echo \"[$SSH_AUTH_SOCK]\"; ssh-add -l'"),
    Row("-A and on from there",
        "export SSH_AUTH_SOCK=$AGENT; ssh -A ws \"ssh-keygen -Y sign -n t -f $AGENT_KEY\" <$BLOB"),
]  # fmt: skip

ROWS = [*EXEC, *STREAMS, *ENVIRONMENT, *FILES, *SHARED, *FORWARDS]
