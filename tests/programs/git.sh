# git on the mount: the same history as on the disk, to the last commit's hash.

check_git() {
    export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@example.org
    export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z' GIT_EDITOR=true
    git config --global init.defaultBranch main
    git config --global gc.auto 0
    text_tree origin "$(amount 150 5000)"
    (
        cd origin
        git init -q
        git add .
        git commit -qm start
        for n in {1..15}; do
            echo "change $n" >>"d00$((n % 5))/file-$(printf %04d $((n % 5 * 20 + n))).txt"
            git commit -qam "change $n"
        done
    )
    mkdir disk
    work_with_git disk >disk.log
    work_with_git "$V" >mount.log
    diff disk.log mount.log
    diff -r -x .git -x config disk "$V"
    # Everything cold, except what git needs to say that nothing changed: nothing.
    freeze "$V"
    git -C "$V/clone" fsck --full
    diff <(git -C disk/clone status --porcelain) <(git -C "$V/clone" status --porcelain)
    freeze "$V"
    git clone -q "$V/bare" again
    [[ $(git -C again rev-parse HEAD) = $(git -C disk/bare rev-parse HEAD) ]]
}

work_with_git() {
    (
        cd "$1"
        git clone -q "$D/origin" clone
        cd clone
        git checkout -qb side HEAD~5
        echo side >side
        chmod 755 side
        ln -s side link
        git add side link
        git commit -qm side
        sed -i 's/e/E/g' d006/*.txt
        git mv d006 D006
        git commit -qam moved
        git rebase -q main
        git checkout -q main
        git merge -q --no-ff -m merged side
        git worktree add -q ../tree HEAD~1
        (cd ../tree && git checkout -qb tree && echo tree >tree && git add tree && git commit -qm tree)
        git cherry-pick tree
        echo stash >>side
        git stash -q
        git stash pop -q
        git checkout -q side
        git tag -a -m one one
        git gc --quiet --aggressive --prune=now
        git fsck --full --strict
        git worktree remove ../tree
        git clone -q --bare . ../bare
        git push -q ../bare HEAD:refs/heads/pushed
        git clone -q --no-local . ../packed
        git -C ../packed fsck --full
        git repack -qadf
        git status --porcelain
        git log --all --format='%H %T %s'
        git ls-files -s
    )
}
