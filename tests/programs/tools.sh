# Tools that make and change files: what packages are unpacked and built with, and editors.

check_unpack() {
    text_tree package/usr/share/texts 80
    mkdir package/DEBIAN
    printf 'Package: texts\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: texts\n' >package/DEBIAN/control
    ln -s d000/file-0000.txt package/usr/share/texts/first
    printf '#!/bin/sh\necho it runs\n' >package/usr/share/texts/run
    chmod 755 package/usr/share/texts/run
    local made
    for made in disk "$V"; do
        mkdir -p "$made/out"
        (
            cd "$made"
            cp -a "$D/package" tree
            dpkg-deb --root-owner-group -b tree texts.deb
            dpkg-deb -x texts.deb out/deb
            dpkg-deb -e texts.deb out/control
            dpkg-deb --fsys-tarfile texts.deb | tar -xf - -C out
            (cd tree/usr/share && zip -qry "$OLDPWD/texts.zip" texts)
            unzip -q texts.zip -d out/zip
            unzip -tq texts.zip
            zip -qd texts.zip 'texts/d000/*'
            unzip -l texts.zip | tail -n 1 | awk '{ print $2 }'
            ar q texts.a tree/usr/share/texts/d000/*.txt
            ar r texts.a tree/usr/share/texts/run
            ar d texts.a file-0003.txt
            ar t texts.a
            (mkdir out/ar && cd out/ar && ar x ../../texts.a)
            install -d -m 750 out/install
            install -m 640 -p tree/usr/share/texts/d001/*.txt out/install
            install -D -s -m 755 /bin/true out/install/bin/true
            out/install/bin/true
            install -b -m 600 tree/usr/share/texts/run out/install/file-0020.txt
            # Programs run from here.
            [[ $(out/deb/usr/share/texts/run) = "it runs" ]]
            cp -a out/deb/usr/share/texts changed
            sed -i 's/e/EE/' changed/d001/*.txt
            rm changed/d002/file-0040.txt
            echo new >changed/new
            diff -ruN --no-dereference -x '*.orig' tree/usr/share/texts changed >change.patch || true
            (cd tree/usr/share/texts && patch -sbp1 <"$OLDPWD/change.patch" || patch -sbp4 <"$OLDPWD/change.patch")
            diff -r --no-dereference -x '*.orig' tree/usr/share/texts changed
        )
    done >said
    diff <(described disk/out) <(described "$V/out")
    diff -r --no-dereference -x '*.deb' -x texts.zip -x change.patch disk "$V"
    freeze "$V"
    dpkg-deb -x "$V/texts.deb" out
    diff -r --no-dereference package/usr out/usr
    unzip -tq "$V/texts.zip"
    # A program that is cold, run, and one that is linked there.
    freeze "$V"
    "$V/out/install/bin/true"
    if command -v cc >/dev/null; then
        printf '#include <stdio.h>\nint main(void) { puts("hello"); }\n' >"$V/hello.c"
        cc -o "$V/hello" "$V/hello.c"
        freeze "$V"
        [[ $("$V/hello") = hello ]]
    fi
}

# Without times: those of what was made just now differ.
described() { (cd "$1" && find . -printf '%p %y %m %U %G %l %n\n' | sed -E '/ d /s/ [0-9]+$//' | sort); }

check_edit() {
    local place
    for place in disk "$V"; do
        mkdir -p "$place"
        (
            cd "$place"
            printf 'alpha\nbeta\ngamma\n' >text
            chmod 640 text
            setfacl -m u:1234:rw,g:4321:r text
            ln text link
            cp -p text copy
            cp -p text other
            # vim: a swap file beside the text; a backup by renaming, and by copying where the file has links.
            for how in yes no auto; do
                for file in text copy; do
                    edit_by_vim "$how" "$file"
                    echo "$how $file"
                    cat "$file" "$file~"
                    stat -c '%n %a %u %g %h' "$file" "$file~"
                    getfacl -cnp "$file"
                    ls -A
                done
            done
            # A swap file that is left behind, and recovered from.
            printf 'recover\n' >lost
            vim -u NONE -N -i NONE -n -es -c 'set directory=.' -c 'wq' lost || true
            sed -i 's/beta/BETA/' other
            sed -i.bak 's/gamma/GAMMA/' other
            printf '%s\n' '/alpha/s//ALPHA/' '$a' end . w q | ed -s other
            cat other other.bak
            stat -c '%n %a %u %g %h' other other.bak
            getfacl -cnp other
            truncate -s 8 other
            printf '%s\n' w q | ed -s other
            cat other
            : >other
            stat -c '%s %a' other
            # In place, by the usual way of safe programs: a temporary file, fsync, rename.
            python3 -c '
import os, tempfile
fd, name = tempfile.mkstemp(dir=".")
os.write(fd, b"new")
os.fchmod(fd, 0o604)
os.fsync(fd)
os.close(fd)
os.rename(name, "other")
fd = os.open(".", os.O_RDONLY)
os.fsync(fd)'
            stat -c '%s %a' other
        ) >"said-$(basename "$(dirname "$place/x")")" 2>&1 || { cat said-*; fail "editing on $place"; }
    done
    diff said-disk "said-$(basename "$V")"
    # A cold file is edited like another.
    printf 'one\ntwo\n' >"$V/cold"
    chmod 604 "$V/cold"
    freeze "$V"
    (cd "$V" && edit_by_vim auto cold)
    freeze "$V"
    sed -i 's/two/three/' "$V/cold"
    [[ $(tr '\n' ' ' <"$V/cold") = "one three BY VIM " && $(stat -c %a "$V/cold") = 604 ]] || fail "$(cat "$V/cold")"
}

# Edits file $2 with backupcopy $1.
edit_by_vim() {
    vim -u NONE -N -i NONE -es -c 'set swapfile directory=. backup writebackup backupdir=.' -c "set backupcopy=$1" \
        -c 'normal GoBY VIM' -c 'wq' "$2"
}
