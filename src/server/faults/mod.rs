//! Faults on purpose, for testing clients: a plan says which requests something goes wrong with, and what.
//!
//! A fault strikes outside of the service: before a request reaches it, or when its answer is on the way. What the service
//! does, it does whole.

mod inject;
mod plan;

use std::sync::{Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

pub use plan::FaultPlan;
pub(super) use plan::read;
use plan::{Fault, Rule};

/// The plan in force.
#[derive(Default)]
pub(super) struct Faults(Mutex<Active>);

#[derive(Default)]
struct Active {
    seed: Option<u64>,
    rules: Vec<Counted>,
}

/// A rule with what has come of it.
struct Counted {
    rule: Rule,
    /// Its own, so that a rule's choices are the same whatever other requests come between.
    random: StdRng,
    seen: u64,
    struck: u64,
}

/// A fault that strikes.
pub(super) struct Strike {
    fault: Fault,
    /// For what the plan leaves to chance.
    chance: u64,
}

/// The plan in force, and how often each rule was about a request and struck.
#[derive(Serialize)]
pub(super) struct Status {
    seed: Option<u64>,
    rules: Vec<RuleStatus>,
}

#[derive(Serialize)]
struct RuleStatus {
    #[serde(flatten)]
    rule: Rule,
    seen: u64,
    fired: u64,
}

impl Faults {
    /// With a plan, or without any.
    pub fn new(plan: Option<FaultPlan>) -> Self {
        let faults = Faults::default();
        if let Some(plan) = plan {
            faults.set(plan);
        }
        faults
    }

    /// Puts a plan in force in place of the one before.
    pub fn set(&self, plan: FaultPlan) {
        let seed = plan.seed.unwrap_or_else(|| rand::rng().random());
        let counted = |(rule, number)| Counted {
            rule,
            random: StdRng::seed_from_u64(seed.wrapping_add(number)),
            seen: 0,
            struck: 0,
        };
        let rules = plan.rules.into_iter().zip(0..).map(counted).collect();
        *self.lock() = Active { seed: Some(seed), rules };
    }

    /// Ends the plan.
    pub fn clear(&self) {
        *self.lock() = Active::default();
    }

    pub fn status(&self) -> Status {
        let active = self.lock();
        let rule =
            |counted: &Counted| RuleStatus { rule: counted.rule.clone(), seen: counted.seen, fired: counted.struck };
        Status { seed: active.seed, rules: active.rules.iter().map(rule).collect() }
    }

    /// What goes wrong with the next request for `operation`, if anything does.
    pub fn strike(&self, operation: &str) -> Option<Strike> {
        self.lock().rules.iter_mut().filter(|counted| counted.rule.operation.is(operation)).find_map(Counted::strike)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Active> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    fn strike(&mut self) -> Option<Strike> {
        self.seen += 1;
        let over = self.rule.count.is_some_and(|count| self.struck >= count);
        if self.seen <= self.rule.skip || over {
            return None;
        }
        if self.rule.rate.is_some_and(|rate| !self.random.random_bool(rate.0)) {
            return None;
        }
        self.struck += 1;
        Some(Strike { fault: self.rule.fault.clone(), chance: self.random.random() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(json: &str) -> FaultPlan {
        FaultPlan::parse(json.as_bytes()).expect("a plan")
    }

    /// Promise: rules are tried in order, each strikes as often as it says after letting pass what it says, and only its
    /// operation.
    #[test]
    fn order_count_and_skip() {
        let faults = Faults::new(Some(plan(
            r#"{"rules":[{"operation":"ListJobs","skip":2,"count":1,"fault":{"delay":"1s"}},
                         {"operation":"*","count":2,"fault":{"lose_response":{}}}]}"#,
        )));
        let next = |operation: &str| faults.strike(operation).map(|strike| matches!(strike.fault, Fault::Delay(_)));
        let jobs: Vec<_> = (0..5).map(|_| next("ListJobs")).collect();
        assert_eq!(jobs, [Some(false), Some(false), Some(true), None, None]);
        assert_eq!(next("ListVaults"), None);
        let status = serde_json::to_value(faults.status()).expect("JSON");
        assert_eq!((&status["rules"][0]["seen"], &status["rules"][0]["fired"]), (&5.into(), &1.into()));
        assert_eq!((&status["rules"][1]["seen"], &status["rules"][1]["fired"]), (&5.into(), &2.into()));
        assert_eq!(status["rules"][1]["operation"], "*");
        faults.clear();
        assert_eq!(serde_json::to_string(&faults.status()).expect("JSON"), r#"{"seed":null,"rules":[]}"#);
    }

    /// Promise: a seed makes the same choices again, about as many as the rate says, whatever other operations do.
    #[test]
    fn seeded() {
        let json = r#"{"seed":42,"rules":[{"operation":"ListJobs","rate":0.2,"fault":{"lose_response":{}}},
                                          {"operation":"*","rate":0.5,"fault":{"lose_response":{}}}]}"#;
        let choices = |between: u32| -> Vec<bool> {
            let faults = Faults::new(Some(plan(json)));
            let choose = || {
                (0..between).for_each(|_| drop(faults.strike("ListVaults")));
                let before = faults.lock().rules[0].struck;
                faults.strike("ListJobs");
                faults.lock().rules[0].struck > before
            };
            (0..1000).map(|_| choose()).collect()
        };
        let first = choices(0);
        assert_eq!(first, choices(3));
        let struck = first.iter().filter(|struck| **struck).count();
        assert!((150..250).contains(&struck), "{struck}");
    }
}
