//! Two streams of inodes in the order of their numbers: a full snapshot and its delta as one tree, or a full snapshot and
//! the catalog as a delta.

use std::io::BufRead;
use std::io::Write;

use super::Error;
use super::read::Damaged;
use super::read::Line;
use super::read::Reader;
use super::write;
use super::write::Writer;
use crate::catalog::Ino;
use crate::catalog::Node;
use crate::catalog::Tree;

/// The tree that a full snapshot and, if there is one, a delta of it tell of.
pub(super) struct Merged<R> {
    full: Reader<R>,
    delta: Option<Reader<R>>,
    next_full: Option<Line>,
    next_delta: Option<Line>,
    begun: bool,
}

impl<R: BufRead> Merged<R> {
    pub(super) fn new(full: Reader<R>, delta: Option<Reader<R>>) -> Self {
        Merged { full, delta, next_full: None, next_delta: None, begun: false }
    }

    fn step(&mut self) -> Result<Option<Node>, Damaged> {
        if !self.begun {
            self.begun = true;
            self.next_full = self.full.next().transpose()?;
            self.next_delta = self.read_delta()?;
        }
        loop {
            let number = |line: &Option<Line>| line.as_ref().map_or(Ino::MAX, Line::ino);
            let (full, delta) = (number(&self.next_full), number(&self.next_delta));
            let line = if full < delta {
                std::mem::replace(&mut self.next_full, self.full.next().transpose()?)
            } else {
                if full == delta {
                    self.next_full = self.full.next().transpose()?;
                }
                let next = self.read_delta()?;
                std::mem::replace(&mut self.next_delta, next)
            };
            match line {
                None => return Ok(None),
                Some(Line::Node(node)) => return Ok(Some(*node)),
                Some(Line::Removed(_)) => {}
            }
        }
    }

    fn read_delta(&mut self) -> Result<Option<Line>, Damaged> {
        self.delta.as_mut().and_then(Iterator::next).transpose()
    }
}

impl<R: BufRead> Iterator for Merged<R> {
    type Item = Result<Node, Damaged>;

    fn next(&mut self) -> Option<Result<Node, Damaged>> {
        self.step().transpose()
    }
}

/// Writes to `to` what has changed between the full snapshot `full` and `tree`.
pub(super) fn difference<R: BufRead, W: Write>(
    full: &mut Reader<R>,
    tree: Tree,
    to: &mut Writer<W>,
) -> Result<(), Error> {
    let mut text = Vec::new();
    let mut gone = Vec::new();
    let mut old = full.advance()?;
    for node in tree {
        let node = node?;
        let ino = node.ino;
        while let Some((before, _)) = old.filter(|(before, _)| *before < ino) {
            write::removed(before, &mut gone)?;
            to.push(&gone)?;
            old = full.advance()?;
        }
        write::line(node, &mut text)?;
        let was = old.filter(|(before, _)| *before == ino);
        if was.is_none() || full.raw() != text {
            to.push(&text)?;
        }
        if was.is_some() {
            old = full.advance()?;
        }
    }
    while let Some((before, _)) = old {
        write::removed(before, &mut gone)?;
        to.push(&gone)?;
        old = full.advance()?;
    }
    Ok(())
}
