//! Imports follow the table of rooms in `docs/architecture.md`, which is the only place that says what may use what.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;

/// What a room may use: names of rooms, or `room::module` for a part of one.
type Rooms = BTreeMap<String, BTreeSet<String>>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The words in back quotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Reads the table: rows whose first cell is a room in back quotes, and whose last cell lists what it may use.
fn rooms(page: &str) -> Rooms {
    let row = |line: &str| {
        let cells: Vec<_> = line.strip_prefix("| `")?.split('|').collect();
        let [room, _, may_use, _] = cells[..] else { panic!("a row has three cells: {line}") };
        let room = room.trim().trim_end_matches('`').to_owned();
        Some((room, quoted(may_use).map(str::to_owned).collect()))
    };
    page.lines().filter_map(row).collect()
}

/// Every path after `crate::` (or, in the program, after `glacierfs::`) in a source text: its first two segments, the
/// second empty when there is none. Groups in braces give one for each member. Comments don't count.
fn imports(text: &str) -> Vec<(usize, String, String)> {
    let code: Vec<_> = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let code = code.join("\n");
    let mut found = Vec::new();
    for start in ["crate::", "glacierfs::"] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || "_$\"'.".contains(c)) {
                continue;
            }
            let line = 1 + code[..at].matches('\n').count();
            for (first, rest) in members(&code[at + start.len()..]) {
                let seconds = members(rest.strip_prefix("::").unwrap_or_default());
                found.extend(seconds.iter().map(|(second, _)| (line, first.to_owned(), (*second).to_owned())));
            }
        }
    }
    found
}

/// The names that a path goes on with, each with what follows: one, or those of a group in braces.
fn members(path: &str) -> Vec<(&str, &str)> {
    let split = |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let Some(group) = path.strip_prefix('{') else { return vec![path.split_at(split(path))] };
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                parts.push(&group[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).map(|part| part.split_at(split(part))).collect()
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The room that a file below `src` belongs to; none for the library's root, which lists all rooms.
fn room_of(path: &Path) -> Option<String> {
    let first = path.iter().next()?.to_str()?;
    Some(first.strip_suffix(".rs").unwrap_or(first).to_owned()).filter(|room| room != "lib")
}

/// What is wrong with an import of `room`, if anything is.
fn fault(rooms: &Rooms, room: &str, first: &str, second: &str) -> Option<String> {
    let Some(may_use) = rooms.get(room) else {
        return Some(format!("docs/architecture.md has no row for the room `{room}`"));
    };
    let allowed = first == room || may_use.contains(first) || may_use.contains(&format!("{first}::{second}"));
    (!allowed).then(|| format!("`{room}` may not use `{first}::{second}`; docs/architecture.md says what it may"))
}

/// Promise: no file imports what its room may not use, tests included, and every room has its row.
#[test]
fn imports_follow_the_table() {
    let page = std::fs::read_to_string(root().join("docs/architecture.md")).expect("the architecture page");
    let rooms = rooms(&page);
    let src = root().join("src");
    let (mut faults, mut seen) = (Vec::new(), 0);
    for path in sources(&src) {
        let relative = path.strip_prefix(&src).expect("a path below src");
        let Some(room) = room_of(relative) else { continue };
        let text = std::fs::read_to_string(&path).expect("a source");
        for (line, first, second) in imports(&text) {
            seen += 1;
            let place = |fault| format!("src/{}:{line}: {fault}", relative.display());
            faults.extend(fault(&rooms, &room, &first, &second).map(place));
        }
        if !rooms.contains_key(&room) {
            faults.push(format!("src/{}: docs/architecture.md has no row for `{room}`", relative.display()));
        }
    }
    assert!(seen > 100, "only {seen} imports were found: is the reader of imports broken?");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Promise: the table has no circle, so that "downwards" means something.
#[test]
fn the_table_has_no_circle() {
    let page = std::fs::read_to_string(root().join("docs/architecture.md")).expect("the architecture page");
    let mut rooms = rooms(&page);
    assert!(rooms.len() > 10, "{rooms:?}");
    while !rooms.is_empty() {
        let low = rooms.iter().find(|(_, may_use)| {
            may_use.iter().all(|used| used.split("::").next().is_some_and(|room| !rooms.contains_key(room)))
        });
        let low = low.map(|(room, _)| room.clone());
        rooms.remove(&low.unwrap_or_else(|| panic!("these rooms use each other in a circle: {:?}", rooms.keys())));
    }
}

/// Promise: the test sees upward imports in every form, and isn't fooled by comments.
#[test]
fn upward_imports_are_seen() {
    let rooms = rooms("| `fs` | x | `catalog`, `glacier::wire` |\n| `util` | x | |\n");
    let faults = |room: &str, text: &str| {
        imports(text).iter().filter_map(|(_, first, second)| fault(&rooms, room, first, second)).count()
    };
    assert_eq!(faults("util", "use crate::fs::Fs;"), 1);
    assert_eq!(faults("util", "    let x = crate::catalog::open();"), 1);
    assert_eq!(faults("fs", "use crate::{catalog::Catalog, fuse, glacier::{wire::Tier, client}};"), 2);
    assert_eq!(faults("fs", "use crate::glacier::{\n    wire::Tier, // ours\n    client,\n};"), 1);
    assert_eq!(faults("fs", "use crate::glacier::wire::Tier;\nuse crate::glacier::client;"), 1);
    assert_eq!(faults("fs", "// crate::fuse\n//! [`crate::daemon`]\nuse crate::fs::names;"), 0);
    assert_eq!(faults("attic", "use crate::util::size;"), 1);
}
