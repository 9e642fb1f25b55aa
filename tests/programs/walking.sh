# Programs that walk the tree: they see what is there, and recall nothing.

check_walk() {
    odd_tree source
    cp -a source "$V/tree"
    freeze "$V"
    local before
    before=$(recalls)
    local place
    for place in source "$V/tree"; do
        (
            cd "$place"
            find . -printf '%p|%y|%m|%U|%G|%T@|%l\n' | sort
            find . -type f -size +100k -newermt 2000-01-01 | sort
            find . -empty | sort
            find . -samefile large | sort
            find . -perm -4000
            find . -links +1 ! -type d | sort
            ls -lAR --time-style=full-iso | sed -E '/^total /d; s/^(d[^ ]+ +)[0-9]+( +[^ ]+ +[^ ]+ +)[0-9]+/\1\2/' | tr -s ' '
            ls -i1U large text/linked again | awk '{ print $1 }' | uniq | wc -l
            find . -type f -print0 | sort -z | du --files0-from=- --apparent-size -cb | tail -n 1
            ls -1 odd/* | sort
            tree_of_python
        ) >"seen-$(basename "$place")"
    done
    diff seen-source seen-tree
    # Blocks are those of the whole file, cold or not, so du says what reading it would bring.
    local apparent used
    apparent=$(du -s --apparent-size -B1 "$V/tree" | cut -f1)
    used=$(du -s -B1 "$V/tree" | cut -f1)
    ! is_mount || [[ $used -ge $apparent && $used -lt $((2 * apparent)) ]] || fail "du: $used used, $apparent apparent"
    # df says what the disk under the spool has.
    df "$V" >said
    df -i "$V" >>said
    df -hT "$V" >>said
    cat said
    [[ $(df --output=target "$V" | tail -n 1) = "$MNT" ]] || ! is_mount || fail "df names another mount"
    [[ $(df --output=avail -B1 "$V" | tail -n 1) -gt 1000000000 && $(df --output=iavail "$V" | tail -n 1) -gt 1000 ]] || fail "no room"
    local here there
    here=$(df --output=avail -B1M "$V" | tail -n 1) there=$(df --output=avail -B1M "$DISK" | tail -n 1)
    [[ $((there - here)) -ge 0 && $((there - here)) -lt 600 ]] || ! is_mount || fail "df: $here MiB available on the mount, $there on the disk"
    [[ $(stat -f -c %l "$V") = 255 ]] || fail "the longest name isn't 255"
    stat -f "$V"
    stat "$V/tree/large"
    findmnt -n -T "$V"
    [[ $(recalls) = "$before" ]] || fail "walking recalled something: $(recalls)"
}

tree_of_python() { python3 -c 'import os; print(*sorted((top, sorted(dirs), sorted(files)) for top, dirs, files in os.walk(b".")), sep="\n")'; }

# Under --recall deny nothing that walks and reads the tree touches what is cold: updatedb, grep -r and others. On a mount of its own.
check_deny() {
    is_mount || return 0
    mkdir mnt
    MNT=$D/mnt
    "$GLACIERFS" mount --local "$D/vaults" --state "$D/state" --retrieval-delay all=10ms --upload-delay 1h --recall deny --daemon "$MNT"
    trap '"$GLACIERFS" umount --drain 0 "$MNT"' EXIT
    mkdir "$MNT/v"
    text_tree source 40
    cp -a source "$MNT/v/tree"
    freeze "$MNT/v"
    echo needle >"$MNT/v/tree/warm"
    local before found
    before=$(recalls)

    updatedb.plocate --require-visibility no --prunepaths '' --prunefs '' --prune-bind-mounts no -U "$MNT" -o names.db
    [[ $(plocate -d names.db -c file-) = 40 ]] || fail "updatedb found $(plocate -d names.db -c file-) of 40 files"
    # With the line that docs/operations.md gives, it doesn't even look.
    updatedb.plocate --require-visibility no --prunepaths '' --prunefs 'nfs fuse.glacierfs' --prune-bind-mounts no -U "$D" -o names.db
    [[ $(plocate -d names.db -c file-) = 40 ]] || fail "updatedb looked into a mount that PRUNEFS names"
    plocate -d names.db "$D/source/d000/file-0000.txt" >/dev/null

    # They say which files they couldn't read, and that they couldn't.
    refused 2 40 grep -r needle "$MNT"
    grep -q 'warm:needle' said || fail "grep didn't find what is local"
    refused 2 40 tar -cf x.tar -C "$MNT/v" tree
    refused 2 40 tar --diff -f x.tar -C "$MNT/v"
    refused 23 40 rsync -a "$MNT/v/tree/" partial/
    refused 1 40 cp -r "$MNT/v/tree" partial2
    refused 1 1 md5sum "$MNT/v/tree/d000/file-0000.txt"
    refused 4 1 sed -i s/a/b/ "$MNT/v/tree/d000/file-0000.txt"
    refused 1 1 bash -c "echo more >>$MNT/v/tree/d000/file-0000.txt"
    # These need no bytes.
    rsync -ani --delete source/ "$MNT/v/tree/"
    find "$MNT" -name '*.txt' -size +1k -printf '%p %s %TY\n' >/dev/null
    du -s "$MNT" >/dev/null
    ls -lR "$MNT" >/dev/null
    cp -al "$MNT/v/tree" "$MNT/v/links"
    mv "$MNT/v/links" "$MNT/v/tree/links"
    rm -r "$MNT/v/tree/links"
    chmod -R u+w "$MNT/v/tree"
    [[ $(recalls) = "$before" ]] || fail "something was recalled: $(recalls)"
    [[ $("$GLACIERFS" ls "$MNT/v/tree/d000" | grep -cw archived) = 20 ]] || fail "files were touched: $("$GLACIERFS" ls "$MNT/v/tree/d000")"
    thaw "$MNT/v/tree"
    rm "$MNT/v/tree/warm"
    diff -r source "$MNT/v/tree"
}

# Runs a command that must end with exit code $1, and must complain $2 times at least.
refused() {
    local code=$1 files=$2
    shift 2
    local ended=0 named
    "$@" >said 2>errors || ended=$?
    named=$(grep -cE 'Object is remote' errors) || true
    [[ $ended = "$code" && $named -ge $files ]] || fail "$*: exit code $ended, $named complaints: $(head -n 5 errors)"
}
