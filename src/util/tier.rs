//! How fast, and for how much money, the service brings an archive back.

use std::fmt;
use std::str::FromStr;

/// A retrieval tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Minutes, dearest.
    Expedited,
    /// Hours (3 to 5 at AWS).
    #[default]
    Standard,
    /// Half a day (5 to 12 hours at AWS), cheapest.
    Bulk,
}

impl Tier {
    /// The service's own word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Tier::Expedited => "Expedited",
            Tier::Standard => "Standard",
            Tier::Bulk => "Bulk",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Tier {
    type Err = String;

    /// Reads a tier's name in any mix of cases.
    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Tier::Expedited, Tier::Standard, Tier::Bulk];
        let found = all.into_iter().find(|tier| tier.as_str().eq_ignore_ascii_case(text));
        found.ok_or_else(|| format!("{text:?} is not a tier: allowed is expedited, standard or bulk"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: a tier's name is read in any case, and another word is refused with what is allowed.
    #[test]
    fn names() {
        assert_eq!("bulk".parse(), Ok(Tier::Bulk));
        assert_eq!(Tier::Expedited.to_string().parse(), Ok(Tier::Expedited));
        assert!("fast".parse::<Tier>().expect_err("no tier").contains("allowed is expedited, standard or bulk"));
    }
}
