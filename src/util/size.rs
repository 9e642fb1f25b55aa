//! Sizes in bytes as people write and read them: `1 GiB`, `512M`, `4096`.

/// One kibibyte.
pub const KIB: u64 = 1 << 10;
/// One mebibyte: the leaf of a tree hash and the unit of a Glacier range.
pub const MIB: u64 = 1 << 20;
/// One gibibyte.
pub const GIB: u64 = 1 << 30;
/// One tebibyte.
pub const TIB: u64 = 1 << 40;

/// What a size may look like; the tail of every message about a bad one.
pub const ALLOWED: &str =
    "a whole number of bytes, or a number with K, M, G or T (KiB, MiB, GiB, TiB), such as 64M or 1.5G";

/// Parses a size in bytes: digits, an optional fraction, and an optional unit of 1,024s in either case, with or
/// without `iB` or `B` (`64M`, `64 MiB`, `64mb`: all 67,108,864).
pub fn parse(text: &str) -> Result<u64, String> {
    let bad = || format!("{text:?} is not a size: allowed is {ALLOWED}");
    let trimmed = text.trim();
    let split = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(split);
    let unit = unit.trim_start().to_ascii_lowercase();
    let factor = match unit.strip_suffix("ib").or(unit.strip_suffix('b')).unwrap_or(&unit) {
        "" => 1,
        "k" => KIB,
        "m" => MIB,
        "g" => GIB,
        "t" => TIB,
        _ => return Err(bad()),
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor).ok_or_else(bad);
    }
    let fraction: f64 = number.parse().map_err(|_| bad())?;
    let bytes = fraction * factor as f64;
    if factor == 1 || !(0.0..9e18).contains(&bytes) {
        return Err(bad());
    }
    Ok(bytes as u64)
}

/// Formats a size for a person: `0 B`, `1023 B`, `1.0 KiB`, `12.5 GiB`.
pub fn human(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..KIB => return format!("{bytes} B"),
        KIB..MIB => (KIB, "KiB"),
        MIB..GIB => (MIB, "MiB"),
        GIB..TIB => (GIB, "GiB"),
        TIB.. => (TIB, "TiB"),
    };
    format!("{:.1} {name}", bytes as f64 / unit as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: every way people write a size means the same, and nonsense is named with what is allowed.
    #[test]
    fn sizes_parse() {
        for text in ["64M", "64m", "64 MiB", "64mb", "67108864", "67108864B"] {
            assert_eq!(parse(text), Ok(64 * MIB), "{text}");
        }
        assert_eq!(parse("1.5G"), Ok(3 * GIB / 2));
        assert_eq!(parse("0"), Ok(0));
        for text in ["", "x", "-1", "1.5", "1X", "99999999999T", "1..2M", "inf"] {
            let message = parse(text).expect_err(text);
            assert!(message.contains("allowed is"), "{message}");
        }
    }

    /// Promise: sizes print with one decimal and the unit they fit.
    #[test]
    fn sizes_print() {
        assert_eq!(human(1023), "1023 B");
        assert_eq!(human(KIB), "1.0 KiB");
        assert_eq!(human(12 * GIB + GIB / 2), "12.5 GiB");
    }
}
