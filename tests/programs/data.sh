# Programs that write here and there in a file, at the same time, and depend on locks.

check_sqlite() {
    local mode
    # shellcheck disable=SC2046 # several words
    for mode in wal delete $(amount "" "truncate persist"); do
        python3 "$CHECKS/databases.py" "$V/$mode.db" "$mode" "$(is_mount && echo "$GLACIERFS" || true)"
    done
    # The shell's own tools.
    sqlite3 "$V/wal.db" .dump >dump.sql
    sqlite3 "$V/copy.db" <dump.sql
    sqlite3 "$V/wal.db" "vacuum into '$V/vacuumed.db'"
    sqlite3 "$V/wal.db" "vacuum; pragma optimize;"
    sqlite3 "$V/wal.db" ".backup $D/backup.db"
    for mode in "$V/copy.db" "$V/vacuumed.db" "$V/wal.db" "$D/backup.db"; do
        diff <(sqlite3 "$mode" .dump) dump.sql
        [[ $(sqlite3 "$mode" 'pragma integrity_check') = ok ]]
    done
}

check_fio() {
    local size engine number=0
    size=$(amount 16M 64M)
    for engine in psync libaio mmap "psync --direct=1" "libaio --direct=1 --iodepth=8" "pvsync --bssplit=512/30:4k/40:128k/30"; do
        local name="${engine%% *}-$((++number))"
        local job=(--name="$name" --filename="$V/$name" --size="$size" --rw=randwrite --bs=4k --verify=crc32c --randseed=4 --output-format=terse)
        # shellcheck disable=SC2206 # options
        job+=(--ioengine=$engine)
        fio "${job[@]}" --verify_fatal=1 --fsync_on_close=1 >"$name.log" 2>&1 || { cat "$name.log"; fail "fio $engine"; }
        freeze "$V/$name"
        fio "${job[@]}" --verify_fatal=1 --verify_only >"$name.log" 2>&1 || { cat "$name.log"; fail "fio $engine, cold"; }
    done
}

# Lines that several writers append at the same time: none lost, none mixed up. To a new file and to a cold one.
check_append() {
    local lines writer
    lines=$(amount 2000 50000)
    : >"$V/log"
    append_from a b "$lines"
    freeze "$V/log"
    append_from c d "$lines"
    for writer in a b c d; do
        # Each writer's lines are all there, whole and in order.
        diff <(grep "^$writer " "$V/log") <(lines_of "$writer" "$lines")
    done
    [[ $(wc -l <"$V/log") = $((4 * lines)) ]] || fail "$(wc -l <"$V/log") lines instead of $((4 * lines))"
}

append_from() {
    local one two
    lines_of "$1" "$3" | append_lines "$V/log" &
    one=$!
    lines_of "$2" "$3" | append_lines "$V/log" &
    two=$!
    wait "$one"
    wait "$two"
}
lines_of() { awk -v name="$1" -v lines="$2" 'BEGIN { for (n = 1; n <= lines; n++) { printf "%s %d ", name, n; for (k = 0; k < n % 97; k++) printf "%s", name; print "" } }'; }
# One write a line.
append_lines() {
    local line
    while IFS= read -r line; do
        printf '%s\n' "$line"
    done >>"$1"
}

check_flock() {
    local shell rounds pids=()
    rounds=$(amount 150 3000)
    echo 0 >"$V/counter"
    for shell in 1 2 3; do
        for ((n = 0; n < rounds; n++)); do
            (
                flock 9
                read -r value <"$V/counter"
                echo $((value + 1)) >"$V/counter"
            ) 9>>"$V/lock"
        done &
        pids+=($!)
    done
    for shell in "${pids[@]}"; do
        wait "$shell"
    done
    [[ $(<"$V/counter") = $((3 * rounds)) ]] || fail "the counter is $(<"$V/counter") instead of $((3 * rounds))"
    # Shared, exclusive, not waiting, and given back by the end of its holder.
    exec 8>"$V/other"
    flock -s 8
    flock -s -n "$V/other" true
    ! flock -x -n "$V/other" true || fail "an exclusive lock beside a shared one"
    flock -u 8
    flock -x -n "$V/other" true
    python3 "$CHECKS/locks.py" "$V/ranges"
}
