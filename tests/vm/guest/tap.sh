# For guest scripts: . /fdial/guest/tap.sh
# shellcheck shell=sh
n_cases=0
n_failed=0

plan() { # number of cases
    echo "1..$1"
}

# Runs the command; its status decides. What it prints goes to the console.
check() { # description command…
    description=$1
    shift
    n_cases=$((n_cases + 1))
    if "$@" >&2; then
        echo "ok $n_cases - $description"
    else
        echo "not ok $n_cases - $description"
        n_failed=$((n_failed + 1))
    fi
}

finish() {
    [ "$n_failed" = 0 ]
    exit
}

wait_for_file() { # path
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        [ -e "$1" ] && return 0
        sleep 0.5
    done
    return 1
}

unload() { # module; the last sockets may still be on their way out
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        rmmod "$1" && return 0
        sleep 0.5
    done
    return 1
}
