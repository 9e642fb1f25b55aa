//! Patterns: `*` is any run of characters, also none, and `?` is exactly one.

/// Whether `pattern` describes all of `text`. Takes at most the product of their lengths in steps.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where to go on after the last `*`, were it to take one character more.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, t + 1));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                None => return false,
                Some((after, longer)) => {
                    (p, t) = (after, longer);
                    retry = Some((after, longer + 1));
                }
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, spelt out.
    fn slow(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], rest) => rest.is_empty(),
            (['*', rest @ ..], text) => (0..=text.len()).any(|n| slow(rest, &text[n..])),
            (['?', rest @ ..], [_, text @ ..]) => slow(rest, text),
            ([c, rest @ ..], [d, text @ ..]) => c == d && slow(rest, text),
            (_, []) => false,
        }
    }

    /// Promise: a long pattern that nearly matches is refused soon, and characters aren't bytes.
    #[test]
    fn hard_ones() {
        assert!(!matches(&format!("{}b", "a*".repeat(1000)), &"a".repeat(10_000)));
        assert!(matches("?", "é") && !matches("?", "") && matches("*", "") && !matches("", "x"));
    }

    proptest! {
        /// Promise: a pattern matches exactly what its definition says.
        #[test]
        fn as_defined(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&pattern, &text), slow(&chars(&pattern), &chars(&text)));
        }
    }
}
