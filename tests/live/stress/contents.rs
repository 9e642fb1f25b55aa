//! Bytes that tell whether they are whole: nobody has to know who wrote them, or what a file is called.

/// What each piece begins with: a magic number, its length, and two numbers of the writer's.
pub const HEADER: usize = 32;
/// Bytes of a record of a log: no record crosses a page.
pub const RECORD: usize = 64;
/// Bytes of a block of a file that is changed in place.
pub const BLOCK: usize = 4096;

const MAGIC: u64 = 0x6765_6e75_696e_6531;

/// The next of a row of numbers that look random (splitmix64).
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of 0 to `count` - 1.
    pub fn below(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }
}

/// A piece of `length` bytes, [`HEADER`] at least, that carries the numbers `a` and `b`; all of it follows from these.
pub fn piece(a: u64, b: u64, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 8);
    for number in [MAGIC, length as u64, a, b] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    let mut numbers = Numbers(a.wrapping_mul(31).wrapping_add(b));
    while bytes.len() < length {
        bytes.extend_from_slice(&numbers.next().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// The numbers that a whole piece carries; what is wrong with any other.
pub fn check(bytes: &[u8]) -> Result<(u64, u64), String> {
    let length = bytes.len();
    if length < HEADER {
        return Err(format!("{length} bytes are no piece"));
    }
    let number = |n: usize| u64::from_le_bytes(bytes[8 * n..8 * n + 8].try_into().expect("8 bytes"));
    if number(0) != MAGIC {
        return Err(format!("a piece of {length} bytes begins with {:02x?}", &bytes[..HEADER]));
    }
    if number(1) != length as u64 {
        return Err(format!("a piece has {length} bytes instead of {}", number(1)));
    }
    let (a, b) = (number(2), number(3));
    let expected = piece(a, b, length);
    match bytes.iter().zip(&expected).position(|(is, should)| is != should) {
        None => Ok((a, b)),
        Some(at) => {
            let wrong = bytes.iter().zip(&expected).filter(|(is, should)| is != should).count();
            let end = (at + 16).min(length);
            Err(format!(
                "piece ({a}, {b}) of {length} bytes has {wrong} wrong ones, from {at}: {:02x?}",
                &bytes[at..end]
            ))
        }
    }
}

/// The writers and numbers of a log's records, in their order.
pub fn records(bytes: &[u8]) -> Result<Vec<(u64, u64)>, String> {
    if !bytes.len().is_multiple_of(RECORD) {
        return Err(format!("a log of {} bytes ends within a record", bytes.len()));
    }
    let of = |(n, record): (usize, &[u8])| check(record).map_err(|error| format!("record {n}: {error}"));
    bytes.chunks(RECORD).enumerate().map(of).collect()
}
