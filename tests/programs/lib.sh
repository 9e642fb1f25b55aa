# What the checks have in common. Each runs in a shell of its own with -euo pipefail, in $D, an empty directory of the disk; $V and
# $W are empty directories in two vaults. `scripts/programs` says more.

CHECKS=$(dirname "${BASH_SOURCE[0]}")

# Says why a check fails, and ends it.
fail() {
    echo "$*"
    exit 1
}

# Prints $2 in a nightly run, else $1.
amount() { if [[ -n ${NIGHTLY:-} ]]; then echo "$2"; else echo "$1"; fi; }

is_root() { [[ $(id -u) = 0 ]]; }
# Whether there is a mount, with archives that can be evicted; root's, as only root may command it.
is_mount() { [[ -z ${PLAIN:-} ]] && is_root; }

# A number of the daemon's status.
status_of() { "$GLACIERFS" status --json "$MNT" | sed -n "s/^ *\"$1\": \([0-9]*\).*/\1/p" | head -n 1; }

flush() { ! is_mount || "$GLACIERFS" flush "$MNT" >/dev/null; }

# Archives everything, evicts PATH, and makes sure that nothing below it is local.
freeze() {
    is_mount || return 0
    flush
    "$GLACIERFS" evict "$1" >/dev/null
    local file state
    while IFS= read -r -d '' file; do
        state=$(getfattr --only-values -n user.glacierfs.state "$file" 2>/dev/null)
        [[ $state = archived ]] || fail "$file is $state after it was evicted"
    done < <(find "$1" -type f -size +0 -links 1 -print0 | head -z -n 20)
}

# Brings everything below PATH back.
thaw() { ! is_mount || "$GLACIERFS" restore --wait "$1" >/dev/null; }

# Archives everything, and prints how many archives were ever made.
archives() {
    is_mount || { echo 0; return; }
    flush
    status_of archived_files
}

# Prints how many bytes were ever recalled, and how many jobs there are.
recalls() { ! is_mount || "$GLACIERFS" status --json "$MNT" | grep -A1 -E '"recalled_bytes"|"jobs"'; }

# Two trees have the same names, bytes, attributes, links, access control lists and extended attributes: rsync says so, and so do
# the system calls themselves.
same() {
    local all=(-aHAX)
    is_root || all=(-aHA)
    rsync "${all[@]}" -nic --delete "$1/" "$2/" >"$D/differences"
    if [[ -s $D/differences ]]; then
        cat "$D/differences"
        fail "rsync finds that $1 and $2 differ"
    fi
    diff -U0 <(python3 "$CHECKS/describe.py" "$1") <(python3 "$CHECKS/describe.py" "$2") || fail "$1 and $2 differ"
    diff -U0 <(lists_of "$1") <(lists_of "$2") || fail "the access control lists of $1 and $2 differ"
}
lists_of() { (cd "$1" && getfacl -RPn . | sort); }

# The same without regard to which names are links of one file.
same_but_links() {
    rsync -aX -nic --delete "$1/" "$2/" >"$D/differences"
    if [[ -s $D/differences ]]; then
        cat "$D/differences"
        fail "rsync finds that $1 and $2 differ"
    fi
    diff -U0 <(python3 "$CHECKS/describe.py" "$1" --no-links) <(python3 "$CHECKS/describe.py" "$2" --no-links) || fail "$1 and $2 differ"
}

# Makes a tree DIR of COUNT real text files in directories, 1 to 64 KiB each, the same every time.
text_tree() {
    python3 "$CHECKS/text_tree.py" "$1" "$2"
}

# Takes from tree DIR the times that not every program keeps: those before 1970 and after 2038.
usual_times() { find "$1" \( ! -newermt '1970-01-02 UTC' -o -newermt '2038-01-01 UTC' \) -exec touch -h -d '2005-05-05 05:05:05.5 UTC' {} +; }

# Makes a tree DIR of all that backups stumble over.
odd_tree() {
    local dir=$1
    text_tree "$dir/text" 25
    (
        cd "$dir"
        : >empty
        mkdir "empty directory"
        head -c 3000000 /dev/urandom >large
        # Hard links: of a file across directories, and of a symbolic link.
        ln large text/linked
        ln large "empty directory/../again"
        ln -s text/linked symbolic
        ln -P symbolic symbolic-2
        ln -s /nowhere/at/all dangling
        ln -s "$(printf 'x%.0s' {1..1000})" far
        mkfifo -m 620 fifo
        ln fifo fifo-2
        # Sparse: a hole at the beginning, one in the middle, one at the end, and nothing but a hole.
        truncate -s 2M sparse
        printf middle | dd of=sparse bs=1 seek=1000000 conv=notrunc status=none
        truncate -s 5M sparse
        truncate -s 1M hole
        # Names.
        mkdir odd
        printf 1 >"odd/two  words "
        printf 2 >odd/$'line\nbreak'
        printf 3 >odd/$'not UTF-8 \xff\xfe'
        printf 4 >odd/Übergröße
        printf 5 >odd/-n
        printf 6 >'odd/*?[$(id)]\'
        printf 7 >"odd/$(printf 'n%.0s' {1..255})"
        mkdir -p "odd/...deep/$(printf 'd/%.0s' {1..60})"
        # Modes.
        mkdir modes modes/setgid modes/sticky modes/closed
        printf a >modes/nobody
        printf b >modes/readonly
        printf c >modes/setuid
        chmod 2775 modes/setgid
        chmod 1777 modes/sticky
        chmod 0400 modes/readonly
        chmod 4755 modes/setuid
        # Access control lists and attributes.
        mkdir lists
        printf list >lists/file
        setfacl -m u:1234:rw,g:4321:r,m::rw lists/file
        setfacl -m u:1234:rwx,d:u:1234:rwx,d:g:4321:rx lists
        printf inherited >lists/inherits
        setfattr -n user.comment -v "a comment" lists/file
        setfattr -n user.empty lists/file
        setfattr -n user.binary -v 0x00ff0a00 lists/file
        setfattr -n user.large -v "$(head -c 3000 /dev/zero | tr '\0' L)" text
        if is_root; then
            mknod -m 640 null c 1 3
            mknod block b 259 65535
            chown 1234:4321 modes/readonly modes/setgid
            chown -h 12:34 dangling
            chmod 0000 modes/nobody modes/closed
            setfattr -n trusted.note -v "for root" lists/file
            setfattr -h -n trusted.link -v "of the link" dangling
            setcap cap_net_raw+ep modes/setuid
            chmod 4755 modes/setuid
        fi
        # Times. Programs that look at whole seconds only must find that what is copied differs from what is new.
        find . -newermt '2025-01-01 UTC' -exec touch -h -d '2011-12-13 14:15:16.171819202 UTC' {} +
        touch -d '1969-07-20 20:17:40.123456789 UTC' odd/Übergröße
        touch -h -d '1969-12-31 23:59:59.999999999 UTC' dangling
        touch -d '1905-01-01 00:00:00.000000001 UTC' odd/-n
        touch -d '2106-02-07 06:28:16.5 UTC' fifo empty
        touch -d '1970-01-01 00:00:00 UTC' modes/setgid
        touch -d '2001-02-03 04:05:06.789012345 UTC' lists odd text .
    )
}
