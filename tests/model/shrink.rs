//! From a long sequence that fails to a short one that fails in the same way.

use std::time::Duration;
use std::time::Instant;

use super::op::Step;
use super::run::Difference;
use super::run::Pair;

/// Runs a sequence in new directories, with everything compared at its end. Answers where it failed, and how.
pub fn replay(pair: &mut Pair, steps: &[Step]) -> Result<(), (usize, Difference)> {
    pair.afresh();
    for (n, step) in steps.iter().enumerate() {
        pair.nth_step(step, n).map_err(|difference| (n, difference))?;
    }
    pair.everything().map_err(|difference| (steps.len().saturating_sub(1), difference))
}

/// Leaves out as much of `steps` as can be within `time`, trying first large pieces and then small ones. None when the
/// sequence doesn't fail again.
pub fn shrink(pair: &mut Pair, steps: &[Step], kind: &str, time: Duration) -> Option<(Vec<Step>, Difference)> {
    let end = Instant::now() + time;
    let mut fails = |steps: &[Step]| match replay(pair, steps) {
        Err((n, difference)) if difference.kind == kind => Some((n, difference)),
        _ => None,
    };
    let (n, mut difference) = fails(steps)?;
    let mut steps = steps[..=n].to_vec();
    let mut piece = steps.len().div_ceil(2);
    loop {
        let mut at = 0;
        let mut shorter = false;
        while at < steps.len() && Instant::now() < end {
            let mut fewer = steps.clone();
            fewer.drain(at..(at + piece).min(steps.len()));
            match fails(&fewer) {
                Some((n, found)) => {
                    fewer.truncate(n + 1);
                    (steps, difference, shorter) = (fewer, found, true);
                }
                None => at += piece,
            }
        }
        if Instant::now() >= end || (piece == 1 && !shorter) {
            return Some((steps, difference));
        }
        piece = if piece > 1 { piece.div_ceil(2) } else { 1 };
    }
}
