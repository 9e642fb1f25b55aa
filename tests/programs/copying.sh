# Copies: rsync, cp, mv and tar carry everything there and back, and cold files are files like others.

check_rsync() {
    odd_tree source
    rsync -aHAX --numeric-ids source/ "$V/"
    same source "$V"
    mkdir back
    rsync -aHAX --numeric-ids "$V/" back/
    same source back
    # A second run has nothing to do, and neither has one that looks into every file.
    [[ -z $(rsync -aHAXi --numeric-ids --delete --checksum source/ "$V/") ]] || fail "a second run of rsync copies again"
    # Changes are taken over in place, too, and what is gone goes.
    printf more >>source/large
    rm -r source/odd source/again
    touch -d "2013-01-01" source
    rsync -aHAX --numeric-ids --delete --inplace source/ "$V/"
    same source "$V"
    if is_mount; then
        freeze "$V"
        local before
        before=$(recalls)
        [[ -z $(rsync -aHAXni --numeric-ids --delete source/ "$V/") ]] || fail "rsync finds that cold files differ"
        [[ $(recalls) = "$before" ]] || fail "rsync's quick check recalled something"
        thaw "$V"
        same source "$V"
        # And straight from the cold files.
        freeze "$V"
        rm -r back
        rsync -aHAX --numeric-ids "$V/" back/
        same source back
    fi
    # A sparse copy.
    rsync -aHAXS --numeric-ids --delete "$V/" sparse/
    same source sparse
}

# Three days of backups with hard links to the day before: the third, on which nothing changed, costs no archive.
check_link_dest() {
    text_tree source 120
    rsync -a source/ "$V/day1/"
    cp -a source day1
    local first second third before
    first=$(archives)
    freeze "$V"
    before=$(recalls)
    local n
    for n in 0003 0025 0077 0100 0119; do
        echo "a change" >>source/*/file-"$n".txt
    done
    rm source/d001/file-0030.txt
    mv source/d002 source/moved
    touch -d "2013-01-01" source source/d001
    rsync -a --delete --link-dest=../day1 source/ "$V/day2/"
    cp -a source day2
    second=$(archives)
    rsync -a --delete --link-dest=../day2 source/ "$V/day3/"
    third=$(archives)
    [[ $(recalls) = "$before" ]] || fail "comparing with cold files recalled something"
    local changed=$((5 + 20))
    if is_mount; then
        [[ $((second - first)) = "$changed" ]] || fail "the second day cost $((second - first)) archives instead of $changed"
        [[ $third = "$second" ]] || fail "the third day cost $((third - second)) archives instead of none"
        # The service's own word: as many archives as there are different contents.
        local ids
        ids=$(find "$V" -type f -exec getfattr --absolute-names -n user.glacierfs.archive_id {} + | grep -F archive_id= | sort -u | wc -l)
        [[ $ids = $((120 + changed)) ]] || fail "there are $ids archives instead of $((120 + changed))"
    fi
    [[ $(stat -c %h "$V/day3/d000/file-0001.txt") = 3 ]] || fail "an unchanged file isn't linked"
    thaw "$V"
    same_but_links day1 "$V/day1"
    same_but_links day2 "$V/day2"
    same_but_links day2 "$V/day3"
    rm -rf "$V/day1"
    same_but_links day2 "$V/day2"
}

check_cp() {
    odd_tree source
    cp -a source "$V/archive"
    same source "$V/archive"
    local before after
    before=$(archives)
    cp -al "$V/archive" "$V/links"
    cp -al source links
    after=$(archives)
    [[ $before = "$after" ]] || fail "hard links cost $((after - before)) archives"
    same links "$V/links"
    [[ $(stat -c %i "$V/archive/large") = $(stat -c %i "$V/links/large") ]] || fail "cp -al made another file"
    rm -r "$V/links"
    rm -r links
    same source "$V/archive"
    # Within the mount, and back from it, warm and cold.
    local mode
    freeze "$V/archive"
    for mode in "--reflink=auto" "--reflink=never --sparse=always" "--sparse=never"; do
        # shellcheck disable=SC2086 # options
        cp -a $mode "$V/archive" "$V/copy"
        same source "$V/copy"
        # shellcheck disable=SC2086 # options
        cp -a $mode "$V/archive" copy
        same source copy
        rm -r "$V/copy" copy
    done
    cp source/large "$V/large"
    cp --preserve=timestamps --update source/text/d000/file-0000.txt "$V/large"
    cmp source/large "$V/large"
    cp --remove-destination source/sparse "$V/large"
    cmp source/sparse "$V/large"
    cp --backup=numbered source/large "$V/large"
    cmp source/sparse "$V/large.~1~"
    ! cp --reflink=always source/large "$V/reflink" 2>/dev/null || fail "a reflink across file systems"
}

check_mv() {
    odd_tree source
    cp -a source twin
    mv twin "$V/tree"
    [[ ! -e twin ]]
    same source "$V/tree"
    local inode before
    freeze "$V/tree"
    before=$(recalls)
    inode=$(stat -c %i "$V/tree/large")
    mkdir "$V/other"
    mv "$V/tree" "$V/other/renamed"
    [[ $(stat -c %i "$V/other/renamed/large") = "$inode" ]] || fail "the inode changed"
    # The directory's own times are what they were: only those that it left and came into change.
    same_names source "$V/other/renamed"
    printf new >"$V/file"
    mv "$V/file" "$V/other/renamed/empty"
    [[ $(<"$V/other/renamed/empty") = new ]]
    mv --no-clobber "$V/other/renamed/empty" "$V/other/renamed/hole"
    [[ -s $V/other/renamed/empty ]] || fail "mv --no-clobber moved over a file"
    cp -a source/empty "$V/other/renamed/empty"
    touch -r source "$V/other/renamed"
    ! mv "$V/other" "$V/other/renamed/inside" 2>/dev/null || fail "a directory was moved into itself"
    [[ $(recalls) = "$before" ]] || fail "renaming recalled something"
    # To another vault it copies, with all that is in the tree.
    mv "$V/other/renamed" "$W/tree"
    [[ ! -e $V/other/renamed ]]
    same source "$W/tree"
    freeze "$W/tree"
    mv "$W/tree" back
    same source back
    [[ -z $(ls -A "$W") ]]
}

same_names() { diff <(cd "$1" && find . -printf '%p %y %T@ %m\0' | sort -z | tr '\0' '\n') <(cd "$2" && find . -printf '%p %y %T@ %m\0' | sort -z | tr '\0' '\n'); }

check_tar() {
    local keep=(--numeric-owner -S --acls --xattrs '--xattrs-include=*')
    odd_tree source
    tar "${keep[@]}" -C source -cf source.tar .
    tar "${keep[@]}" -C "$V" -xpf source.tar
    # GNU tar sets times before 1970 to the second.
    mkdir extracted
    tar "${keep[@]}" -C extracted -xpf source.tar
    same extracted "$V"
    tar "${keep[@]}" -C "$V" --diff -f source.tar
    # A cold file isn't a hole.
    freeze "$V"
    tar "${keep[@]}" -C "$V" -cf cold.tar .
    mkdir back
    tar "${keep[@]}" -C back -xpf cold.tar
    same extracted back
    freeze "$V"
    tar "${keep[@]}" -C "$V" --diff -f cold.tar
    # Archives on the mount: appended to, updated, listed, compressed.
    tar -C source -cf "$V/text.tar" text
    tar -C source -rf "$V/text.tar" large
    tar -C source --delete -f "$V/text.tar" text/d000
    freeze "$V/text.tar"
    diff <(tar -tf "$V/text.tar" | sort) <(cd source && find text large ! -path 'text/d000*' -printf '%p%y\n' | sed 's/d$/\//; s/[a-z]$//' | sort)
    tar -C source -czf "$V/text.tar.gz" text
    tar -C source --diff -f "$V/text.tar.gz"
    # Incremental: the list of what was there is beside the tree.
    tar -C "$V" -g "$V/../$(basename "$V")/snapshot" -cf full.tar text
    echo more >>"$V/text/d001/file-0020.txt"
    tar -C "$V" -g "$V/snapshot" -cf increment.tar text
    [[ $(tar -tf increment.tar | grep -c '[^/]$') = 1 ]] || fail "more than the changed file is in the increment"
}
