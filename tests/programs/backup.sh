# Backup programs whose repositories are on the mount.

check_rsnapshot() {
    text_tree source 60
    mkdir "$V/snapshots"
    {
        printf 'config_version\t1.2\nsnapshot_root\t%s/\nno_create_root\t1\n' "$V/snapshots"
        printf 'cmd_cp\t/bin/cp\ncmd_rm\t/bin/rm\ncmd_rsync\t/usr/bin/rsync\nlockfile\t%s/lock\nverbose\t1\n' "$D"
        printf 'retain\tdaily\t3\nretain\tweekly\t2\nbackup\t%s/\there/\n' "$D/source"
    } >conf
    local day before after
    for day in 1 2 3 4; do
        if [[ $day != 3 ]]; then
            echo "day $day" >source/diary
            # Its size is the same each day.
            touch -d "2020-02-0$day" source/diary
        fi
        cp -a source "day$day"
        before=$(archives)
        rsnapshot -c conf daily
        after=$(archives)
        if is_mount && [[ $day = 3 ]]; then
            [[ $before = "$after" ]] || fail "a day without changes cost $((after - before)) archives"
        fi
        freeze "$V"
    done
    local root=$V/snapshots
    diff -r day4 "$root/daily.0/here$D/source"
    diff -r day2 "$root/daily.1/here$D/source"
    diff -r day2 "$root/daily.2/here$D/source"
    [[ ! -e $root/daily.3 ]] || fail "the oldest day is still there"
    rsnapshot -c conf weekly
    diff -r day2 "$root/weekly.0/here$D/source"
    [[ ! -e $root/daily.2 ]]
    [[ $(stat -c %h "$root/daily.0/here$D/source/d000/file-0000.txt") = 3 ]] || fail "unchanged files aren't linked"
}

check_restic() {
    export RESTIC_PASSWORD=secret RESTIC_REPOSITORY=$V/repository RESTIC_CACHE_DIR=$D/cache
    odd_tree source
    # What it doesn't keep.
    rm source/{dangling,fifo-2,symbolic-2}
    head -c "$(amount 12M 300M)" /dev/urandom >source/random
    restic init
    restic backup source
    restic check --read-data
    restic restore latest --target restored
    same source restored/source
    # From a repository that is cold.
    rm -r restored cache
    freeze "$V"
    restic restore latest --target restored
    same source restored/source
    echo more >>source/random
    rm source/large
    restic backup source
    restic forget --keep-last 1 --prune
    restic check --read-data
    [[ $(restic snapshots --json | grep -o short_id | wc -l) = 1 ]]
    rm -r restored
    restic restore latest --target restored
    same source restored/source
    # The restored tree is on the mount.
    restic restore latest --target "$W/restored"
    same source "$W/restored/source"
}

check_borg() {
    export BORG_REPO=$V/repository BORG_PASSPHRASE=secret BORG_BASE_DIR=$D/borg BORG_RELOCATED_REPO_ACCESS_IS_OK=yes
    odd_tree source
    # Which it doesn't keep.
    rm source/symbolic-2
    usual_times source
    head -c "$(amount 6M 200M)" /dev/urandom >source/random
    borg init -e repokey
    borg create ::first source
    borg check --verify-data
    mkdir restored
    (cd restored && borg extract --numeric-ids ::first)
    same source restored/source
    freeze "$V"
    rm -r restored && mkdir restored
    (cd restored && borg extract --numeric-ids ::first)
    same source restored/source
    head -c "$(amount 6M 200M)" /dev/urandom >source/random
    borg create ::second source
    borg prune --keep-last 1
    borg compact
    borg check --verify-data
    [[ $(borg list --short) = second ]]
    # Onto the mount.
    (cd "$W" && borg extract --numeric-ids ::second)
    same source "$W/source"
}
