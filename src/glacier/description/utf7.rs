//! UTF-7 (RFC 2152), which CloudBerry writes paths in. No crate that is kept decodes it strictly, and a decoder that
//! mends what is invalid would spoil the names that were never encoded. For their sake a run of base64 has to end in its
//! `-`, as .NET's encoder always writes it, though the RFC lets other characters end it: `a+b/c` isn't meant.

/// The text that `text` is the UTF-7 of; `None` where it isn't valid. Any ASCII may stand for itself: `\` and `~` do in
/// what is found.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((direct, encoded)) = rest.split_once('+') {
        decoded.push_str(direct);
        let end = encoded.find(|c: char| value(c).is_none()).unwrap_or(encoded.len());
        let (run, after) = encoded.split_at(end);
        rest = after.strip_prefix('-')?;
        match run {
            // `+-` is the plus itself.
            "" => decoded.push('+'),
            run => decoded.push_str(&units(run)?),
        }
    }
    decoded.push_str(rest);
    text.is_ascii().then_some(decoded)
}

/// The characters whose UTF-16 is in `run`, big-endian and in base64; what is left over is less than a digit, and zero.
fn units(run: &str) -> Option<String> {
    let (mut bits, mut count, mut units) = (0u32, 0, Vec::new());
    for digit in run.chars().filter_map(value) {
        bits = bits << 6 | digit;
        count += 6;
        if count >= 16 {
            count -= 16;
            units.push((bits >> count) as u16);
            bits &= (1 << count) - 1;
        }
    }
    (count < 6 && bits == 0).then(|| String::from_utf16(&units).ok())?
}

fn value(c: char) -> Option<u32> {
    Some(match c {
        'A'..='Z' => c as u32 - 'A' as u32,
        'a'..='z' => c as u32 - 'a' as u32 + 26,
        '0'..='9' => c as u32 - '0' as u32 + 52,
        '+' => 62,
        '/' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: what is valid is decoded, plus signs and characters beyond 16 bits too; anything else isn't touched.
    #[test]
    fn strictly() {
        for (text, decoded) in [
            ("", ""),
            ("plain.txt", "plain.txt"),
            (r"C:\~a\b", r"C:\~a\b"),
            ("c01+AF8-s00", "c01_s00"),
            ("C+-+-", "C++"),
            ("Hi Mom -+Jjo--!", "Hi Mom -\u{263a}-!"),
            ("+ZeVnLIqe-", "\u{65e5}\u{672c}\u{8a9e}"),
            ("+2D3eAA-", "\u{1f600}"),
        ] {
            assert_eq!(decode(text).as_deref(), Some(decoded), "{text}");
        }
        // A bare plus; a run without an end; half a character; bits left over; half of a pair; what isn't ASCII.
        for text in ["a+b", "+", "1 + 1", "a+b/c", "+ZeVnLIqe.txt", "+AF", "+AF9-", "+2D0-", "+3gA-", "\u{e9}+AF8-"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
