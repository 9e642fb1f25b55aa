//! What must hold for whatever is in a snapshot: for a property test here, and for the fuzz target in `fuzz/`. Not in the program.

use std::collections::HashMap;

use super::Line;
use super::Reader;
use super::plan::Plan;
use super::write;
use crate::catalog::Node;

/// The lines of a snapshot, decompressed: what is read is written and read again the same; and of what is taken for a tree every
/// entry has a name that can be one, in a directory of the tree, and comes after the directories that it is in.
pub fn snapshot(bytes: &[u8]) {
    let Ok(reader) = Reader::new(bytes) else { return };
    let root = reader.header().root;
    // A digest that fits is more than a machine guesses: all lines up to the first bad one count.
    let mut nodes = Vec::new();
    for line in reader.map_while(Result::ok) {
        let Line::Node(node) = line else { continue };
        nodes.push(*node);
    }
    let mut line = Vec::new();
    for node in &nodes {
        write::line(node.clone(), &mut line).unwrap_or_else(|error| panic!("{node:?}: {error}"));
        assert_eq!(super::format::read_line(&line).as_ref(), Ok(node));
    }
    let Ok(plan) = Plan::read(root, nodes.iter().cloned().map(Ok)) else { return };
    let mut depths = HashMap::from([(root, 0)]);
    for (depth, Node { ino, names, .. }) in &plan.directories {
        assert!(names.iter().all(|(above, _)| depths[above] + 1 == *depth));
        depths.insert(*ino, *depth);
    }
    for node in nodes.iter().filter(|node| node.trash.is_none()) {
        for (above, name) in &node.names {
            assert!(depths.contains_key(above), "{node:?}");
            assert!(!name.is_empty() && name.len() <= 255 && name != b"." && name != b".." && !name.contains(&b'/'));
        }
    }
}
