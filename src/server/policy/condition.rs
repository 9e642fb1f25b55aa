//! Conditions: an operator, a key of the request, and the values it is compared with.

use std::collections::BTreeMap;

use super::glob;
use super::json::Json;

/// What there is to compare.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'r> {
    /// `glacier:ArchiveAgeInDays`: whole days since the archive's upload; `None` when the request is about no archive.
    pub archive_age_days: Option<i64>,
    /// `glacier:ResourceTag/…`: the vault's tags.
    pub tags: &'r BTreeMap<String, String>,
}

/// A condition: holds when one of its values passes the test (or, negated, none does).
#[derive(Clone, Debug)]
pub(super) struct Condition {
    key: Key,
    test: Test,
    negated: bool,
    /// Whether it holds when the request lacks the key.
    if_exists: bool,
}

#[derive(Clone, Debug)]
enum Key {
    ArchiveAgeInDays,
    ResourceTag(String),
}

/// How the request's value is compared, and with what.
#[derive(Clone, Debug)]
enum Test {
    Number(Compare, Vec<f64>),
    Text(Match, Vec<String>),
    Bool(Vec<bool>),
    /// Whether the key is to be missing.
    Null(Vec<bool>),
}

#[derive(Clone, Copy, Debug)]
enum Compare {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug)]
enum Match {
    Exact,
    IgnoringCase,
    Pattern,
}

const OPERATORS: &str = "NumericEquals, NumericNotEquals, NumericLessThan, NumericLessThanEquals, NumericGreaterThan, \
     NumericGreaterThanEquals, StringEquals, StringNotEquals, StringEqualsIgnoreCase, StringNotEqualsIgnoreCase, \
     StringLike, StringNotLike, Bool (each also with IfExists) and Null";

impl Condition {
    /// Reads what `operator` says of `key`. The error is the rest of a sentence about it.
    pub fn parse(operator: &str, key: &str, values: &Json) -> Result<Self, String> {
        let key = Key::parse(key)?;
        let values = texts(values)?;
        let (name, if_exists) = match operator.strip_suffix("IfExists") {
            Some(name) if name != "Null" => (name, true),
            _ => (operator, false),
        };
        let numbers = |compare| Ok(Test::Number(compare, values.iter().map(|v| number(v)).collect::<Result<_, _>>()?));
        let strings = |how| Ok(Test::Text(how, values.clone()));
        let bools = || values.iter().map(|value| boolean(value)).collect::<Result<Vec<_>, String>>();
        let negated = name.starts_with("NumericNot") || name.starts_with("StringNot");
        let test: Result<Test, String> = match name {
            "NumericEquals" | "NumericNotEquals" => numbers(Compare::Equal),
            "NumericLessThan" => numbers(Compare::Less),
            "NumericLessThanEquals" => numbers(Compare::LessOrEqual),
            "NumericGreaterThan" => numbers(Compare::Greater),
            "NumericGreaterThanEquals" => numbers(Compare::GreaterOrEqual),
            "StringEquals" | "StringNotEquals" => strings(Match::Exact),
            "StringEqualsIgnoreCase" | "StringNotEqualsIgnoreCase" => strings(Match::IgnoringCase),
            "StringLike" | "StringNotLike" => strings(Match::Pattern),
            "Bool" => bools().map(Test::Bool),
            "Null" => bools().map(Test::Null),
            _ => Err(format!("{operator:?} is no operator: allowed are {OPERATORS}")),
        };
        Ok(Condition { key, test: test?, negated, if_exists })
    }

    /// Whether it holds. A key that the request lacks passes no test, unless the condition says so (`IfExists`).
    pub fn holds(&self, facts: &Facts<'_>) -> bool {
        let value = self.key.value(facts);
        if let Test::Null(missing) = &self.test {
            return missing.contains(&value.is_none());
        }
        let Some(value) = value else { return self.if_exists || self.negated };
        let passes = match &self.test {
            Test::Number(compare, numbers) => {
                number(&value).is_ok_and(|value| numbers.iter().any(|number| compare.holds(value, *number)))
            }
            Test::Text(how, texts) => texts.iter().any(|text| how.holds(&value, text)),
            Test::Bool(bools) => boolean(&value).is_ok_and(|value| bools.contains(&value)),
            Test::Null(_) => false,
        };
        passes != self.negated
    }
}

impl Key {
    /// Names of keys are the same in any case; the documentation itself writes more than one.
    fn parse(name: &str) -> Result<Self, String> {
        const TAG: &str = "glacier:resourcetag/";
        if name.eq_ignore_ascii_case("glacier:ArchiveAgeInDays") {
            return Ok(Key::ArchiveAgeInDays);
        }
        match name.split_at_checked(TAG.len()) {
            Some((start, tag)) if start.eq_ignore_ascii_case(TAG) && !tag.is_empty() => {
                Ok(Key::ResourceTag(tag.to_owned()))
            }
            _ => Err(format!(
                "{name:?} is no condition key: allowed are glacier:ArchiveAgeInDays and glacier:ResourceTag/KEY"
            )),
        }
    }

    fn value(&self, facts: &Facts<'_>) -> Option<String> {
        match self {
            Key::ArchiveAgeInDays => facts.archive_age_days.map(|days| days.to_string()),
            Key::ResourceTag(key) => {
                let in_any_case = || facts.tags.iter().find(|(name, _)| name.to_lowercase() == key.to_lowercase());
                facts.tags.get(key).or_else(|| in_any_case().map(|(_, value)| value)).cloned()
            }
        }
    }
}

impl Compare {
    fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Compare::Equal => value == limit,
            Compare::Less => value < limit,
            Compare::LessOrEqual => value <= limit,
            Compare::Greater => value > limit,
            Compare::GreaterOrEqual => value >= limit,
        }
    }
}

impl Match {
    fn holds(self, value: &str, text: &str) -> bool {
        match self {
            Match::Exact => value == text,
            Match::IgnoringCase => value.to_lowercase() == text.to_lowercase(),
            Match::Pattern => glob::matches(text, value),
        }
    }
}

/// The values of a condition, of which there is at least one.
fn texts(values: &Json) -> Result<Vec<String>, String> {
    let text = |value: &Json| match value {
        Json::Text(text) if text.contains("${") => Err(format!("variables such as in {text:?} are not supported")),
        Json::Text(text) | Json::Number(text) => Ok(text.clone()),
        Json::Bool(value) => Ok(value.to_string()),
        other => Err(format!("{} is no value: allowed are strings, numbers, true and false", other.kind())),
    };
    match values {
        Json::List(values) if values.is_empty() => Err("the list of values is empty".to_owned()),
        Json::List(values) => values.iter().map(text).collect(),
        value => Ok(vec![text(value)?]),
    }
}

/// A decimal number: digits, with a sign before or a fraction after them.
fn number(text: &str) -> Result<f64, String> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let plain =
        digits.starts_with(|c: char| c.is_ascii_digit()) && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let number = plain.then(|| text.parse().ok()).flatten().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| format!("{text:?} is no number"))
}

fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A condition on an age of 100 days and the tags Hold=true and Size=12; and on a request without either.
    fn holds(operator: &str, key: &str, values: &str) -> (bool, bool) {
        let condition = Condition::parse(operator, key, &serde_json::from_str(values).expect("JSON"));
        let condition = condition.unwrap_or_else(|error| panic!("{operator} {key} {values}: {error}"));
        let tags = [("Hold", "true"), ("Size", "12")].map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let full = condition.holds(&Facts { archive_age_days: Some(100), tags: &tags });
        (full, condition.holds(&Facts { archive_age_days: None, tags: &BTreeMap::new() }))
    }

    /// Promise: each operator says what its name says, a list is any of its values, and a missing key passes only negated
    /// operators, those with IfExists, and Null.
    #[test]
    fn operators() {
        let age = "glacier:ArchiveAgeInDays";
        for (operator, values, expected) in [
            ("NumericLessThan", "\"365\"", (true, false)),
            ("NumericLessThan", "100", (false, false)),
            ("NumericLessThanEquals", "\"100\"", (true, false)),
            ("NumericGreaterThan", "99.5", (true, false)),
            ("NumericGreaterThanEquals", "100", (true, false)),
            ("NumericGreaterThanEquals", "101", (false, false)),
            ("NumericEquals", "[1, \"100\"]", (true, false)),
            ("NumericNotEquals", "[1, \"100\"]", (false, true)),
            ("NumericNotEquals", "[1, 2]", (true, true)),
            ("NumericLessThanIfExists", "365", (true, true)),
            ("NumericLessThanIfExists", "10", (false, true)),
            ("StringEquals", "\"100\"", (true, false)),
            ("Null", "true", (false, true)),
            ("Null", "\"false\"", (true, false)),
        ] {
            assert_eq!(holds(operator, age, values), expected, "{operator} {values}");
        }
        for (operator, key, values, expected) in [
            ("StringEquals", "Hold", "\"true\"", (true, false)),
            ("StringEquals", "hold", "[\"x\", \"true\"]", (true, false)),
            ("StringEquals", "Hold", "\"True\"", (false, false)),
            ("StringEqualsIgnoreCase", "Hold", "\"TRUE\"", (true, false)),
            ("StringNotEquals", "Hold", "\"true\"", (false, true)),
            ("StringNotEqualsIgnoreCase", "Hold", "\"TRUE\"", (false, true)),
            ("StringNotEqualsIfExists", "Hold", "\"x\"", (true, true)),
            ("StringLike", "Hold", "[\"tr*\", \"\"]", (true, false)),
            ("StringNotLike", "Hold", "\"f*\"", (true, true)),
            ("Bool", "Hold", "true", (true, false)),
            ("BoolIfExists", "Hold", "\"False\"", (false, true)),
            ("Bool", "Size", "\"true\"", (false, false)),
            ("NumericGreaterThan", "Size", "11", (true, false)),
            ("NumericGreaterThan", "Hold", "11", (false, false)),
            ("Null", "Other", "true", (true, true)),
        ] {
            assert_eq!(holds(operator, &format!("Glacier:resourceTAG/{key}"), values), expected, "{operator} {key}");
        }
    }

    /// Promise: what can't be obeyed is refused.
    #[test]
    fn refused() {
        for (operator, key, values, says) in [
            ("NumericLess", "glacier:ArchiveAgeInDays", "1", "\"NumericLess\" is no operator: allowed are Numeric"),
            ("NullIfExists", "glacier:ArchiveAgeInDays", "true", "is no operator"),
            ("numericlessthan", "glacier:ArchiveAgeInDays", "1", "is no operator"),
            ("NumericLessThan", "glacier:ArchiveAgeInDays", "\"1e3\"", "\"1e3\" is no number"),
            ("NumericLessThan", "glacier:ArchiveAgeInDays", "\"1.2.3\"", "\"1.2.3\" is no number"),
            ("NumericLessThan", "glacier:ArchiveAgeInDays", "\"\"", "\"\" is no number"),
            ("NumericLessThan", "glacier:ArchiveAgeInDays", "[]", "the list of values is empty"),
            ("NumericLessThan", "glacier:ArchiveAgeInDays", "{}", "an object is no value"),
            ("Bool", "glacier:ResourceTag/x", "1", "\"1\" is neither true nor false"),
            ("StringEquals", "glacier:ResourceTag/", "1", "is no condition key"),
            ("StringEquals", "aws:SourceIp", "1", "\"aws:SourceIp\" is no condition key: allowed are glacier:"),
            ("StringEquals", "glacier:ResourceTag/x", "\"${aws:x}\"", "variables such as"),
        ] {
            let error = Condition::parse(operator, key, &serde_json::from_str(values).expect("JSON")).expect_err(key);
            assert!(error.contains(says), "{error}");
        }
    }
}
