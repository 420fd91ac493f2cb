"""The rows of the table of behaviours that are dialogues: in terminals, and those of editors."""

from tests.gateway.behaviours import CTL, END, Resize, Row, Step

# A prompt that nobody types, so that it is awaited and not the echo of it.
BASH = "ssh -t ws 'PS1=\"[$((40+2))]\" exec bash --norc --noprofile'"
PROMPT = "[42]"
START: Step = (PROMPT, "HISTFILE=; bind 'set enable-bracketed-paste off'\r")
# What says so when it runs; the echo of the command line, in the terminal's raw mode, does not.
WAIT = "sh -c 'echo re\"\"ady; exec cat'"
LOOP = 'echo re""ady; until read x && [ "$x" = end ]; do :; done; echo ended'


def _typed(*steps: Step) -> tuple[Step, ...]:
    return (START, *steps)


TERMINALS = [
    Row(name, script, terminal=steps, pty=True)
    for name, script, steps in [
        ("a terminal and its size", BASH, _typed((PROMPT, "stty size; stty -a; exit 3\r"))),
        (
            "the window's size changes",
            # The client may sleep over the signal until something else wakes it.
            "ssh -t -oServerAliveInterval=1 ws 'echo up; until stty size | grep 41.1; do :; done'",
            (("up", Resize(101, 41)),),
        ),
        (
            "Ctrl-C",
            BASH,
            _typed((PROMPT, f"{WAIT}\r"), ("ready", "\x03"), (PROMPT, "exit\r")),
        ),
        ("Ctrl-C ends a command", "ssh -t ws 'echo up; sleep 99'", (("up", "\x03"),)),
        (
            "Ctrl-C to one that minds it",
            "ssh -t ws \"trap 'echo no; exit 5' INT; echo up; while :; do read x; done\"",
            (("up", "\x03"),),
        ),
        (
            "Ctrl-\\",
            BASH,
            _typed(
                (PROMPT, f"ulimit -c 0; {WAIT}\r"),
                ("ready", "\x1c"),
                (PROMPT, "exit\r"),
            ),
        ),
        (
            "Ctrl-Z and fg",
            BASH,
            _typed(
                (PROMPT, f"bash -c 'trap \"echo goes o\\n\" CONT; {LOOP}'\r"),
                ("ready", "\x1a"),
                (PROMPT, "fg\r"),
                ("goes on", "end\r"),
                (PROMPT, "exit\r"),
            ),
        ),
        ("Ctrl-D", BASH, _typed((PROMPT, "\x04"))),
        (
            "Ctrl-S and Ctrl-Q",
            "ssh -t ws 'echo up; cat'",
            (("up", "\x13a\r\x11"), ("a\r\na", "\x04")),
        ),
        (
            "8 bits",
            "ssh -t ws 'stty raw -echo; echo up; head -c 6 | od -An -tx1'",
            (("up", "\xff\x80\x00\x7f\x03\x1a"),),
        ),
        ("break", "ssh -t ws 'echo up; cat'", (("up", "~B"), ("", "on\r"), ("on\r\non", "\x04"))),
        ("the client's own escapes", "ssh -t ws 'echo up; cat'", (("up", "\r~."),)),
        (
            "a background job and exit",
            BASH,
            _typed((PROMPT, "set +m; sleep 5 & echo on\r"), ("\non", ""), (PROMPT, "exit 4\r")),
        ),
        (
            "a command in a terminal and its background job",
            "ssh -tt ws '(trap \"\" HUP; sleep 5) & echo on; exit 4'",
            (("on", ""),),
        ),
        (
            "an editor's screen",
            "ssh -t ws 'stty -echo; printf \"\\033[6n\"; read -rsd R x; printf \"%q\" \"$x\"'",
            (("6n", "\x1b[1;1R"),),
        ),
        (
            "a shell of a shared connection",
            f"{CTL} ws; ssh -t -S ctl ws 'tty -s && echo up; read x; exit 8'; echo $?; {END}",
            (("up", "go\r"),),
        ),
        (
            "a terminal without echo",
            "ssh -t ws 'read -rsp \"Word: \" w; echo; echo ${#w}'",
            (("Word", "secret\r"),),
        ),
    ]
]  # fmt: skip

# Visual Studio Code's Remote-SSH: a shell that reads a script on its input and starts the editor's
# server, and, on the same connection, a SOCKS port through which all else goes.
CODE_SCRIPT = """\
uname -rsv >/dev/null; echo "platform==$(uname -s)=="
mkdir -p $W/.server && cd $W/.server
nohup $PEER port --serve echo >log 2>&1 </dev/null & echo $! >pid
until [ -e port ]; do sleep 0.05; done
printf 'agentPort==%s==\\n' $(cat port)
read answer; echo "exitCode==$answer=="
"""
CODE = f"""
mkfifo in; touch out; exec 3<>in
ssh -T -D $PORT -o ConnectTimeout=15 ws bash <in >out 2>err & ssh=$!
sed "s|\\$W|$W|g; s|\\$PEER|$PEER|g" >&3 <<'END'
{CODE_SCRIPT}END
until grep -q agentPort out; do sleep 0.05; done
agent=$(sed -n 's/agentPort==//; s/==$//p' out | tail -1)
for i in {{1..12}}; do
    (head -c $((i * 19999)) $BLOB | peer $PORT --socks 127.0.0.1:$agent | cksum) &
done | sort
head -c 3000000 $BLOB | peer $PORT --socks localhost:$agent | cksum
kill $(cat $W/.server/pid); echo 0 >&3; exec 3>&-
wait $ssh; echo "ended $?"; sed 's/agentPort.*/agentPort/' out; cat err
rm -r $W/.server in out err
"""

# JetBrains Gateway: commands, an upload, a server in the background, a forward to it, and all of it
# over one connection.
JETBRAINS = f"""
{CTL} ws; run() {{ ssh -S ctl ws "$@"; }}
run 'uname -s; echo $SHELL' | wc -l
run "mkdir -p $W/dist && test -d $W/dist && echo made"
sftp -q -o ControlPath=ctl -b - ws <<END
put $BLOB $W/dist/app.tar
chmod 755 $W/dist/app.tar
END
run "sha256sum <$W/dist/app.tar"
run "cd $W/dist; nohup $PEER port --serve count >log 2>&1 </dev/null & echo \\$! >$W/dist/pid"
run "cd $W/dist; until [ -e port ]; do sleep 0.05; done"
port=$(run "cat $W/dist/port")
ssh -S ctl -O forward -L $PORT:127.0.0.1:$port ws
for i in {{1..8}}; do head -c $((i * 77777)) $BLOB | peer $PORT | sed -n 1p & done | sort
run "ps -o stat= -p \\$(cat $W/dist/pid) | cut -c1"
ssh -S ctl -O cancel -L $PORT:127.0.0.1:$port ws
run "kill \\$(cat $W/dist/pid); cat $W/dist/log; rm -r $W/dist"
{END}
"""

ROWS = [
    *TERMINALS,
    Row("Visual Studio Code's sequence", CODE),
    Row("JetBrains Gateway's sequence", JETBRAINS),
]
