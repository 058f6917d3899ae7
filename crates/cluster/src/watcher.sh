# Runs the command line given, and stops it when standard input ends.
#
# Standard input is a pipe whose other end only the program holds. However the program ends, the
# kernel closes it, and `read` returns. Nothing is ever written to it.
#
# Prints the command's process id. Exits with the command's status.
exec 3<&0 </dev/null
"$@" 3<&- >&2 &
server=$!
echo "$server"
exec >&-
(
    read -r nothing <&3
    # Fast shutdown: sessions are ended, everything is written out. Said again each second, because
    # a server that is just being started does not hear it yet.
    waited=0
    while [ "$waited" -lt 60 ]; do
        kill -INT "$server" || exit 0
        sleep 1
        waited=$((waited + 1))
    done
    # Immediate shutdown: the next start recovers from the log.
    kill -QUIT "$server"
) 2>/dev/null &
stopper=$!
exec 3<&-
wait "$server"
status=$?
kill "$stopper" 2>/dev/null
exit "$status"
